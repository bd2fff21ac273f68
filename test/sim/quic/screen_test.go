package tierq

import (
	"context"
	"crypto/sha256"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/stripecast/stripecast/playout"
	"github.com/stripecast/stripecast/relay"
	"github.com/stripecast/stripecast/relay/host"
	"github.com/stripecast/stripecast/stripe"
)

// truth is all that the source has published, and the source.Publisher that
// learns it.
type truth struct {
	*host.Host

	mu     sync.Mutex
	blocks map[uint64]made // never ranged over
	head   uint64
}

// made is one block as it left the source.
type made struct {
	sum [sha256.Size]byte
	at  time.Time
}

// Publish notes the block and sends it on its way.
func (tr *truth) Publish(shards []*stripe.Shard) {
	first := shards[0]
	var data []byte
	for _, s := range shards[:first.Layout.K] {
		data = append(data, s.Data...)
	}
	tr.mu.Lock()
	tr.blocks[first.Number] = made{sha256.Sum256(data[:first.DataLen]), time.Now()}
	tr.head = first.Number
	tr.mu.Unlock()
	tr.Host.Publish(shards)
}

func (tr *truth) block(number uint64) (made, bool) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	m, ok := tr.blocks[number]
	return m, ok
}

func (tr *truth) newest() uint64 {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	return tr.head
}

// screen is the sink of a viewer, and what it has seen.
type screen struct {
	truth *truth

	mu      sync.Mutex
	faults  []string
	begun   bool
	next    uint64
	last    time.Time // when the block before next was played
	played  int
	skipped int
	still   time.Duration // for how long the picture stood, in all
	lags    []time.Duration
	behind  int // blocks that should have been played by the last look
}

// stillSlack is how much later than due a picture may come before it counts as
// standing.
const stillSlack = 40 * time.Millisecond

func (s *screen) Open(stripe.Info) {}
func (s *screen) End()             {}

// Push compares a block with what the source made and the time with its turn.
func (s *screen) Push(p playout.Play) {
	now := time.Now()
	m, ok := s.truth.block(p.Header.Number)
	before, _ := s.truth.block(p.Header.Number - 1)
	s.mu.Lock()
	defer s.mu.Unlock()
	if !ok || m.sum != sha256.Sum256(p.Data) {
		s.faults = append(s.faults, fmt.Sprintf("block %d is not the source's", p.Header.Number))
		return
	}
	if s.begun && p.Header.Number != s.next+uint64(p.Skipped) {
		s.faults = append(s.faults, fmt.Sprintf("block %d after %d, said to skip %d", p.Header.Number, s.next-1, p.Skipped))
	}
	if s.begun {
		s.skipped += p.Skipped
		if p.Skipped == 0 {
			if over := now.Sub(s.last) - m.at.Sub(before.at); over > stillSlack {
				s.still += over
			}
		}
	}
	s.begun, s.next, s.last = true, p.Header.Number+1, now
	s.played++
}

// tee passes on what the participant delivers, and notes how long after its making
// each block was rebuilt.
func (s *screen) tee(ctx context.Context, media <-chan relay.Output) <-chan relay.Output {
	out := make(chan relay.Output)
	go func() {
		defer close(out)
		for o := range media {
			if d, ok := o.(relay.Deliver); ok {
				if m, ok := s.truth.block(d.Header.Number); ok {
					s.mu.Lock()
					s.lags = append(s.lags, time.Since(m.at))
					s.mu.Unlock()
				}
			}
			select {
			case out <- o:
			case <-ctx.Done():
			}
		}
	}()
	return out
}

// figures are a viewer's since the last look.
type figures struct {
	played, skipped int
	still           time.Duration
	behind          int // blocks by which it has fallen behind
	lags            []time.Duration
}

// look returns what has been seen since the last look.
func (s *screen) look(delay time.Duration) figures {
	head := s.truth.newest()
	for head > 0 {
		if m, ok := s.truth.block(head); ok && time.Since(m.at) > delay+stillSlack {
			break
		}
		head--
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	behind := max(0, int(int64(head)-int64(s.next)+1))
	// One whose first blocks came late is late, and catches up slowly: it loses nothing.
	f := figures{s.played, s.skipped, s.still, max(0, behind-s.behind), s.lags}
	s.played, s.skipped, s.still, s.lags, s.behind = 0, 0, 0, nil, behind
	return f
}

// quantile is of sorted values, zero if there are none.
func quantile(sorted []time.Duration, q float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[min(len(sorted)-1, int(q*float64(len(sorted))))]
}

func sortedTimes(d []time.Duration) []time.Duration { return slices.Sorted(slices.Values(d)) }
