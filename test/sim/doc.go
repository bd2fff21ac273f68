// Package sim runs whole streams in virtual time: hundreds of participants, each
// a real relay.Core with real keys, signatures and codes, over a network of its
// own making.
//
//	     ┌────────── heap of events, by (time, sequence) ─────────┐
//	     ▼                                                        │
//	World.Run ──input──▶ Node(relay.Core) ──outputs──▶ network, gossip,
//	     │                    │                        dials, timers
//	  Auditor            playout.Buffer
//
// Everything that is drawn comes from one seed, so one seed is one run: its
// Trace is a hash over all events. What is real: everything above the transport.
// What is modelled: QUIC as reliable and, after loss, late; gossip as a record
// that is everywhere after 200 to 500 ms and a rumour after 11 to 15 s.
//
// The package measures and accuses; what is good enough is for its tests to say.
package sim
