// Package ingest is where a source's stream comes from, if not from a file: it listens
// for datagrams and for source clients, and fetches what is on the web. An input that is
// gone is waited for, and the stream goes on where it comes back.
//
//	UDP ──────────────────────────────▶ bytes
//	Line ─Open─▶ bytes ─▶ Resumed ────▶ bytes, Mark, bytes, …  ─▶ relay/source
//	  Web      a body, or a playlist's segments
//	  Listener what a source client pushes
//
// It is a shell: sockets, and the real time. It knows nothing of what the bytes mean
// but what stripe/ts tells it: whether what comes back is of the kind that was there.
package ingest
