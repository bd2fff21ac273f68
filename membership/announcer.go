package membership

import (
	"crypto/ed25519"
	"slices"
	"time"
)

// Announcer knows when our own record is news, and signs it then: to neighbours, who
// need it soon and are few, and to the pool, where everybody passes it on to several
// others and it costs as much as the pool has members. It has one owner, who says that
// something Changed and, when it is Due, calls Announce and Spread.
type Announcer struct {
	key     ed25519.PrivateKey
	last    Record
	raw     []byte // of last; nil before the first
	changed bool
	due     time.Time // to be signed again at the latest
	near    pace      // to neighbours
	far     pace      // to the pool
	behind  bool      // the pool has an older one
}

// pace is when something may be said again: the pauses grow, for of a newcomer
// others know little yet.
type pace struct {
	next  time.Time
	pause time.Duration
}

func (p *pace) take(now time.Time, most time.Duration) {
	p.pause = min(max(2*p.pause, announceEvery), max(most, announceEvery))
	p.next = now.Add(p.pause)
}

// NewAnnouncer returns an Announcer that wants to announce at once.
func NewAnnouncer(now time.Time, key ed25519.PrivateKey) Announcer {
	return Announcer{key: key, changed: true, due: now, near: pace{next: now}, far: pace{next: now}}
}

// Changed says that something happened that the record may show.
func (a *Announcer) Changed() { a.changed = true }

// Hurry drops the pauses after the last record.
func (a *Announcer) Hurry(now time.Time) { a.changed, a.near.next, a.far.next = true, now, now }

// Due is when Announce or Spread may have something to say.
func (a *Announcer) Due() time.Time {
	at := a.due
	if a.changed {
		at = a.near.next
	}
	if a.behind && a.far.next.Before(at) {
		at = a.far.next
	}
	return at
}

// IsDue reports whether it is time for Announce.
func (a *Announcer) IsDue(now time.Time) bool {
	return !now.Before(a.near.next) && (a.changed || !now.Before(a.due))
}

// Raw is the record as it was last signed, nil before the first.
func (a *Announcer) Raw() []byte { return a.raw }

// Last is what Raw says.
func (a *Announcer) Last() Record { return a.last }

// Announce is called when it IsDue, with what is to be said now and how many others
// are known. It signs it for the neighbours if that is news, or the old record is soon
// too old; else raw is nil. It sets the record's sequence number and TTL.
func (a *Announcer) Announce(now time.Time, rec Record, known int) (raw []byte) {
	a.changed = false
	rec.TTL = recordTTL
	if a.raw != nil && now.Before(a.due) && sameNews(rec, a.last) {
		return nil
	}
	rec.Seq = max(uint64(now.UnixMilli()), a.last.Seq+1)
	rec.Streams = slices.Clone(rec.Streams)
	a.last, a.raw, a.behind = rec, rec.Sign(a.key), true
	a.near.take(now, min(time.Duration(known)*nearEach, nearMost))
	a.due = now.Add(announceAgain)
	return a.raw
}

// Spread returns the record if the pool is to be told now, else nil.
func (a *Announcer) Spread(now time.Time, known int) (raw []byte) {
	if !a.behind || now.Before(a.far.next) {
		return nil
	}
	a.behind = false
	a.far.take(now, min(time.Duration(known)*farEach, announceAgain/2))
	return a.raw
}

// Silent says that there is nothing to announce for now.
func (a *Announcer) Silent(now time.Time) {
	a.changed, a.due = false, now.Add(announceAgain)
}

// sameNews reports whether two of our records tell others the same: that a few
// slots more or fewer are free changes nobody's mind, but none or some does.
func sameNews(a, b Record) bool {
	return a.Slots == b.Slots && slices.Equal(a.Addrs, b.Addrs) && slices.EqualFunc(a.Streams, b.Streams, func(x, y Carried) bool {
		few := max(1, a.Slots/8)
		near := x.Free-y.Free <= few && y.Free-x.Free <= few && (x.Free == 0) == (y.Free == 0)
		x.Free, y.Free = 0, 0
		return near && x == y
	})
}
