// Package relay is one participant: it forwards shards to its children, keeps
// the window of recent blocks, asks for what it wants and answers what others
// want. A source, a volunteer's relay and a viewer are the same Core; they
// differ in what they are told (Announce, Publish) and in what they want (Play).
//
//	Input ──▶ Core.Handle(now) ──▶ Output        Core.Deadline() ──▶ when to Wake
//	             │
//	     overlay.Forest a stream, Window a stream, membership.Book
//
// What lies before the window is the past of a stream: offered from the host's store,
// and fetched for who wants to see it again, beside all that is live (past.go).
//
// The package is pure: the same Core runs in real time (relay/host over
// relay/quicnet) and by the hundred in virtual time (test/sim). It returns no
// errors: a bad peer becomes a Hangup. It codes and checks nothing itself: that
// is Work, which its owner runs elsewhere and hands back as an Input. It never
// looks into the stream's bytes.
package relay
