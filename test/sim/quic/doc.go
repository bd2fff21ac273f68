// Package tierq runs whole participants in virtual time: relay/source, relay/host
// with real QUIC and real gossip, and playout/view, some fifty of them in one
// testing/synctest bubble over a network in memory.
//
//	muxer ─▶ source.Run ─▶ host ─┐                       ┌─▶ host ─▶ view ─▶ screen
//	                             ├── quicnet ─ memnet ───┤
//	                  host ──────┘                       └─▶ host
//	                              watch: Status of all, every 50 ms
//
// It is what ../ cannot be: the transport, the gossip, the locks and the goroutines
// of the program. It is not what ../ is: packets of different goroutines at one
// instant may swap, so that two runs differ, and only sums are judged.
//
// The package holds tests only. Not modelled: processor time (in a bubble
// computing takes none), segmentation offload and ECN (a net.PacketConn has none),
// path MTU, NAT, and queues within the network: a link loses, delays and cuts, and
// only the ends have rates.
package tierq
