package overlay

import (
	"slices"
	"time"

	"github.com/stripecast/stripecast/membership"
)

// backup is somebody who said that it would be the parent of a stripe.
type backup struct {
	id    membership.NodeID
	asked time.Time // when it was last asked; zero if it is still being dialled
	agree bool      // and said yes
}

// warm keeps, for every stripe, a connection to somebody who has agreed to be the
// parent if the parent dies: dialling and asking only then may cost more time than
// there is.
func (f *Forest) warm(now time.Time) {
	dials := 0
	for _, b := range f.branches {
		if !b.wanted || b.parent.IsZero() || f.ended {
			b.backup = backup{}
			continue
		}
		if !f.fitBackup(now, b) {
			id, ok := f.bestBackup(now, b)
			if !ok {
				b.backup = backup{}
				continue
			}
			if b.backup.id != id {
				b.backup = backup{id: id}
			}
			if f.peers[id] == nil {
				if dials < maxWarm {
					dials++
					f.out = append(f.out, Dial{Peer: id})
				}
				continue
			}
		}
		f.askBackup(now, b)
	}
}

// fitBackup reports whether a stripe's backup is connected and still will do.
func (f *Forest) fitBackup(now time.Time, b *branch) bool {
	e, known := f.book.Get(b.backup.id)
	if !known || f.peers[b.backup.id] == nil || e.Doubted || f.isRoot(b.backup.id) {
		return false // should somebody else turn up, the source is relieved
	}
	_, fit := f.offers(now, b, e, false)
	return fit && f.eligible(now, b, e, false)
}

// root is the stream's source.
func (f *Forest) root() membership.NodeID { return membership.NodeID(f.cfg.Info.Root) }

func (f *Forest) isRoot(id membership.NodeID) bool { return id == f.root() }

// askBackup asks a connected backup whether it would, and again after standbyEvery.
func (f *Forest) askBackup(now time.Time, b *branch) {
	if k := &b.backup; f.peers[k.id] != nil && (k.asked.IsZero() || now.Sub(k.asked) >= standbyEvery) {
		k.asked = now
		m := f.subscribe(now, b)
		m.Standby, m.Fresh, m.IfNewer, m.LastResort, m.From = true, false, false, f.isRoot(k.id), 0
		f.send(k.id, m)
	}
}

// promised notes that a backup agreed. One that stands below our parent would
// die with it.
func (f *Forest) promised(now time.Time, b *branch, from membership.NodeID, path []membership.ShortID) {
	if b.backup.id != from || b.backup.asked.IsZero() {
		return
	}
	if slices.Contains(path, b.parent.Short()) || slices.Contains(path, f.cfg.Self.Short()) {
		f.unfit(now, b)
		return
	}
	b.backup.agree = true
}

// unfit drops a backup that will not do, and does not try it again soon.
func (f *Forest) unfit(now time.Time, b *branch) {
	b.unfit = slices.DeleteFunc(b.unfit, func(m memory) bool { return now.After(m.until) })
	if len(b.unfit) == maxUnfit {
		b.unfit = slices.Delete(b.unfit, 0, 1)
	}
	until := now.Add(standbyEvery)
	if f.unwilling(now, b) >= unfitEnough {
		until = now.Add(scarcePause)
	}
	b.unfit = append(b.unfit, memory{b.backup.id, until})
	b.backup = backup{}
}

// unwilling is how many would not be a stripe's backup of late.
func (f *Forest) unwilling(now time.Time, b *branch) (n int) {
	for _, s := range b.unfit {
		if now.Before(s.until) {
			n++
		}
	}
	return n
}

// bestBackup is the best candidate of a stripe, a connected one if possible, and
// the source where there is nobody else, as it may be while relays are few.
func (f *Forest) bestBackup(now time.Time, b *branch) (membership.NodeID, bool) {
	enough := !b.home && f.unwilling(now, b) >= unfitEnough // none that is full would
	var best *membership.Entry
	var bestScore time.Duration
	for _, e := range f.book.Home(f.cfg.Info.Stream, b.stripe) {
		c, ok := f.offers(now, b, e, false)
		if !ok || enough && c.Free == 0 || e.Doubted || recalls(b.unfit, now, e.Node) || !f.eligible(now, b, e, false) {
			continue
		}
		if score := f.score(now, e, false, true); best == nil || score < bestScore {
			best, bestScore = e, score
		}
	}
	if best != nil {
		return best.Node, true
	}
	root := f.root()
	return root, b.parent != root && b.quota > 0 && !f.short && f.relays < 2*len(f.branches) && !recalls(b.unfit, now, root)
}
