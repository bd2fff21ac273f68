package sim

import (
	"bytes"

	"github.com/stripecast/stripecast/membership"
	"github.com/stripecast/stripecast/relay"
	"github.com/stripecast/stripecast/stripe"
)

// maxMemo is how many records and how many seals are remembered; then all are
// forgotten, and checked again when they come.
const maxMemo = 50_000

// memo remembers the results of pure functions, for here a thousand participants
// compute the same. A shard is known by the memory it lies in: bytes that are not
// the very ones that the source made go through the real check, and so does every
// shard once, and every block's first rebuilding.
type memo struct {
	records map[string]*membership.Signed // by their bytes; never ranged over
	seals   map[seal]bool                 // never ranged over
}

type seal struct {
	header stripe.Header
	root   stripe.Root
	sig    [64]byte
}

func (m *memo) init() {
	m.records, m.seals = map[string]*membership.Signed{}, map[seal]bool{}
}

// open is membership.Open.
func (m *memo) open(raw []byte) (*membership.Signed, error) {
	if rec, ok := m.records[string(raw)]; ok {
		return rec, nil
	}
	rec, err := membership.Open(raw)
	if err == nil {
		if len(m.records) >= maxMemo {
			clear(m.records)
		}
		m.records[string(raw)] = rec
	}
	return rec, err
}

// signed is stripe.CheckSeal.
func (m *memo) signed(h *stripe.Header, root stripe.Root, sig *[64]byte) bool {
	k := seal{*h, root, *sig}
	ok, known := m.seals[k]
	if !known {
		ok = stripe.CheckSeal(h, root, sig)
		if len(m.seals) >= maxMemo {
			clear(m.seals)
		}
		m.seals[k] = ok
	}
	return ok
}

// same reports whether two shards are the same memory.
func same(a, b *stripe.Shard) bool {
	x, y := a.Encoded(), b.Encoded()
	return len(x) == len(y) && len(x) > 0 && &x[0] == &y[0]
}

// made is the block of the source that a shard with this header would be of.
func (w *World) made(h *stripe.Header) *made {
	if w.source == nil || h.Stream != w.source.stream {
		return nil
	}
	if m := w.source.recent[h.Number%recentBlocks]; m != nil && m.id == (blockID{h.Epoch, h.Number}) {
		return m
	}
	return nil
}

// check is what c.Do() gives.
func (w *World) check(c relay.Check) relay.Input {
	m := w.made(&c.Shard.Header)
	if m == nil || c.Shard.Index >= len(m.shards) || !same(c.Shard, m.shards[c.Shard.Index]) {
		return c.DoWith(w.memo.signed)
	}
	own := m.shards[c.Shard.Index]
	if bit := uint64(1) << own.Index; m.checked&bit == 0 {
		m.checked |= bit
		first := relay.Check{Shard: c.Shard}.DoWith(w.memo.signed).(relay.Checked)
		if first.Verdict != relay.Genuine || c.Shard.Header != own.Header {
			w.audit.accuse(w, "shard %d of block %d is not genuine", own.Index, own.Number)
			return c.DoWith(w.memo.signed)
		}
		m.root = first.Root
	}
	c.Shard = own // all windows hold the one
	done := relay.Checked{Check: c, Root: m.root}
	if c.Known != nil && *c.Known != (relay.Proof{Header: own.Header, Root: m.root, Sig: own.Sig}) {
		done.Verdict = relay.Equivocal
	}
	return done
}

// rebuild is what r.Do() gives.
func (w *World) rebuild(r relay.Rebuild) relay.Input {
	var m *made
	parity := 0
	for i, s := range r.Shards {
		if s == nil {
			if i < r.Coder.Layout().K {
				parity = 1
			}
			continue
		}
		if m == nil {
			m = w.made(&s.Header)
		}
		if m == nil || i >= len(m.shards) || m.shards[i] != s {
			return r.Do()
		}
	}
	if m.rebuilt[parity] == nil {
		first := r.Do().(relay.Rebuilt)
		for i, s := range first.Shards {
			if !bytes.Equal(s.Encoded(), m.shards[i].Encoded()) {
				w.audit.accuse(w, "shard %d of block %d was remade wrong", i, first.Number)
				return first
			}
		}
		if first.Shards == nil {
			w.audit.accuse(w, "block %d is no codeword", m.id.number)
			return first
		}
		first.Shards = m.shards
		m.rebuilt[parity] = &first
	}
	return *m.rebuilt[parity]
}
