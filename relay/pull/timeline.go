package pull

import (
	"math"
	"time"
)

// timeline says when a block can be seen at the earliest (its front), when it should
// be there, and when it is played. The front is its source time plus the smallest
// (arrival − source time) of the last half to whole minute: no late block moves it,
// and no clock is compared with another. Deadlines are counted from it, as the
// play-out counts them.
type timeline struct {
	zero    time.Time        // local times are counted from here
	started bool             // a block was seen
	lows    [2]time.Duration // smallest arrival less source time: of this turn, of the last
	turned  time.Time
	behind  int // blocks in a row that came later than a clock set back explains
	number  uint64
	source  time.Duration // the newest block's source time
	pace    time.Duration // source time from one block to the next, smoothed

	delay time.Duration // from a block's front until it is played
	// How long after its front a block has enough shards, by push alone.
	learnt    bool
	mean, dev time.Duration
}

const never = time.Duration(math.MaxInt64)

func newTimeline(now time.Time, blockTime, delay time.Duration) timeline {
	return timeline{zero: now, turned: now, lows: [2]time.Duration{never, never}, pace: max(blockTime, time.Millisecond), delay: delay}
}

// saw takes the arrival of the first shard that push brought of a block. Source is
// the block's source time in ms.
func (t *timeline) saw(now time.Time, number uint64, sourceMS int64) {
	source := time.Duration(sourceMS) * time.Millisecond
	offset := now.Sub(t.zero) - source
	if age := now.Sub(t.turned); age >= clockTurn {
		t.lows[1], t.lows[0], t.turned = t.lows[0], never, now
		if age >= 2*clockTurn {
			t.lows[1] = never
		}
	}
	if t.started && number > t.number && offset > t.base()+clockJump {
		if t.behind++; t.behind >= clockBlocks {
			t.lows, t.behind = [2]time.Duration{never, never}, 0
		}
	} else if number > t.number {
		t.behind = 0
	}
	if t.behind == 0 {
		t.lows[0] = min(t.lows[0], offset)
	}
	if !t.started || number > t.number {
		if t.started {
			each := (source - t.source) / time.Duration(number-t.number)
			if each > 0 && each < clockJump {
				t.pace += (each - t.pace) / 16
			}
		}
		t.started, t.number, t.source = true, number, source
	}
}

func (t *timeline) base() time.Duration {
	if low := min(t.lows[0], t.lows[1]); low != never {
		return low
	}
	return 0
}

// front is when a block of that source time could be seen at the earliest.
func (t *timeline) front(sourceMS int64) time.Time {
	return t.zero.Add(t.base() + time.Duration(sourceMS)*time.Millisecond)
}

// guess is the source time, in ms, of a block that was not seen.
func (t *timeline) guess(number uint64) int64 {
	ahead := time.Duration(int64(number) - int64(t.number))
	return (t.source + ahead*t.pace).Milliseconds()
}

// head is the number of the newest block that may exist at now.
func (t *timeline) head(now time.Time) uint64 {
	passed := now.Sub(t.front(t.source.Milliseconds()))
	return t.number + uint64(max(0, passed/t.pace)) + 1
}

// learn takes how long after its front a block had enough shards.
func (t *timeline) learn(late time.Duration) {
	if late > t.delay || late < 0 {
		return // an outage tells nothing of how it is otherwise
	}
	if !t.learnt {
		t.learnt, t.mean, t.dev = true, late, late/2
		return
	}
	off := late - t.mean
	t.dev += (max(off, -off) - t.dev) / 8
	t.mean += off / 8
}

// patience is how long after its front a block is waited for before anything is
// pulled: as long as blocks take, and as can be spared.
func (t *timeline) patience() time.Duration {
	most := t.delay * 3 / 8
	if !t.learnt {
		return min(patienceFirst, most)
	}
	return min(max(t.mean+4*t.dev, t.delay/patienceShare, patienceMin), most)
}
