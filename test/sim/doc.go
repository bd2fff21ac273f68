// Package sim runs whole streams in virtual time: a thousand participants, each
// a real relay.Core with real keys, signatures and codes, over a network of its
// own making.
//
//	     ┌─────────── agenda: events, in time order ──────────────┐
//	     ▼                                                        │
//	World.Run ──input──▶ Node(relay.Core) ──outputs──▶ pump, link, gossip,
//	     │                    │                        dials, timers
//	  auditor, ledgers   playout.Buffer
//
// Everything that is drawn comes from one seed, so one seed is one run: its
// Trace is a hash over all events. What is real: everything above the transport.
// What is modelled: the network (link.go), the transport (network.go), gossip
// (gossip.go) and what goes wrong (faults.go). What a thousand would compute alike
// is computed once (memo.go): never for bytes that the source did not make.
//
// The package measures (measure.go), explains every block that a viewer did not
// see (fate.go), and accuses (audit.go). What is good enough is for its tests to say.
package sim
