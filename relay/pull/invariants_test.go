package pull

import (
	"fmt"
	"math/bits"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stripecast/stripecast/overlay"
)

// faults is what a Puller must never be after a Step, in words; none if all is well.
func faults(now time.Time, p *Puller) (found []string) {
	say := func(format string, args ...any) { found = append(found, fmt.Sprintf(format, args...)) }
	if len(p.asks) > MaxOutstanding {
		say("%d shards are asked for", len(p.asks))
	}
	if n := p.askedOld(); n > maxHistory {
		say("%d shards of history are asked for", n)
	}
	type shard struct {
		number uint64
		stripe int
	}
	once, of := map[shard]bool{}, map[*neighbour]int{}
	for _, a := range p.asks {
		of[a.of]++
		if once[shard{a.number, a.stripe}] {
			say("shard %d of block %d is asked for twice", a.stripe, a.number)
		}
		once[shard{a.number, a.stripe}] = true
		b := p.at(a.number)
		if a.old {
			b = p.history.at(a.number)
		}
		switch {
		case !slices.Contains(p.near, a.of):
			say("somebody is asked who is no neighbour")
		case b == nil:
			say("block %d is asked for, and not wanted", a.number)
		case b.have>>a.stripe&1 == 1:
			say("shard %d of block %d is asked for, and held", a.stripe, a.number)
		case b.missed, !b.deadline.IsZero() && !now.Before(b.deadline):
			say("block %d is asked for too late", a.number)
		}
	}
	for _, nb := range p.near {
		if of[nb] != nb.asks {
			say("a neighbour is asked for %d shards, not %d", of[nb], nb.asks)
		}
		if len(nb.queue) > MaxQueued || len(nb.lacks) > maxLacks || len(nb.owed) > maxOwed || len(nb.holes) > overlay.MaxHoles {
			say("a neighbour has %d queued, %d lacks, %d owed, %d holes", len(nb.queue), len(nb.lacks), len(nb.owed), len(nb.holes))
		}
	}
	for n := p.low; p.started && n <= p.top; n++ {
		found = append(found, blockFaults(now, p, p.at(n))...)
	}
	if len(p.near) > MaxNeighbours || !slices.IsSortedFunc(p.near, func(a, b *neighbour) int { return byNeighbour(a, b.id) }) {
		say("%d neighbours, or out of order", len(p.near))
	}
	if len(p.shuns) > maxShuns {
		say("%d shunned", len(p.shuns))
	}
	if len(p.history.blocks) > MaxAhead {
		say("%d blocks of history", len(p.history.blocks))
	}
	if !p.Deadline().After(now) {
		say("the next Step is due at once")
	}
	return found
}

// blockFaults holds what is asked of a live block to the exact count.
func blockFaults(now time.Time, p *Puller, b *block) (found []string) {
	_, _, spare, live := p.asked(b.number)
	need, among := p.short(now, b)
	most := p.spares(now, b)
	switch {
	case spare > spareShards:
		found = append(found, fmt.Sprintf("%d spare shards of block %d", spare, b.number))
	case need == 0 && live > 0:
		found = append(found, fmt.Sprintf("%d shards of block %d are asked for without need", live, b.number))
	case need > 0 && live > need+most:
		found = append(found, fmt.Sprintf("%d shards of block %d are asked for, %d needed", live, b.number, need))
	case need > 0 && p.cfg.Pulls && !p.closed && live < min(need+most, bits.OnesCount64(among)) && len(p.asks) < MaxOutstanding && p.againAt.IsZero():
		found = append(found, fmt.Sprintf("only %d shards of block %d are asked for, %d needed", live, b.number, need))
	}
	return found
}

// TestFaultsCanBeFound breaks a Puller in every way that faults looks for.
func TestFaultsCanBeFound(t *testing.T) {
	for want, harm := range map[string]func(p *Puller){
		"35 shards are asked for": func(p *Puller) { p.asks = append(p.asks, many(p, MaxOutstanding, false)...) },
		"25 shards of history":    func(p *Puller) { p.asks = append(p.asks, many(p, maxHistory+1, true)...) },
		"is asked for twice":      func(p *Puller) { p.asks[1].stripe = p.asks[0].stripe },
		"who is no neighbour":     func(p *Puller) { p.asks[0].of = &neighbour{peer: &peer{}} },
		"and not wanted":          func(p *Puller) { p.asks[0].number = 99 },
		"and held":                func(p *Puller) { p.at(0).have |= 1 << p.asks[0].stripe },
		"too late":                func(p *Puller) { p.at(0).deadline = epoch0 },
		"asked too late for":      func(p *Puller) { p.at(0).missed = true },
		"a neighbour is asked":    func(p *Puller) { p.near[0].asks++ },
		"33 queued":               func(p *Puller) { p.near[0].queue = make([]item, MaxQueued+1) },
		"129 lacks":               func(p *Puller) { p.near[0].lacks = make([]lack, maxLacks+1) },
		"257 owed":                func(p *Puller) { p.near[0].owed = make([]debt, maxOwed+1) },
		"65 holes":                func(p *Puller) { p.near[0].holes = make([]overlay.Piece, overlay.MaxHoles+1) },
		"out of order":            func(p *Puller) { p.near[0], p.near[1] = p.near[1], p.near[0] },
		"9 neighbours": func(p *Puller) {
			for len(p.near) <= MaxNeighbours {
				p.near = append(p.near, p.near[1])
			}
		},
		"65 shunned":             func(p *Puller) { p.shuns = make([]shun, maxShuns+1) },
		"65 blocks of history":   func(p *Puller) { p.history.blocks = make([]*block, MaxAhead+1) },
		"due at once":            func(p *Puller) { p.next = epoch0 },
		"3 spare shards":         func(p *Puller) { p.asks[0].spare, p.asks[1].spare = true, true },
		"without need":           func(p *Puller) { p.at(0).whole = true },
		"asked for, 1 needed":    func(p *Puller) { p.at(0).have |= 1 << free(p) },
		"only 1 shards of block": func(p *Puller) { p.asks = p.asks[:1] },
	} {
		r := short(t)
		harm(r.p)
		want := strings.Replace(want, "asked too late for", "too late", 1)
		if found := faults(r.now, r.p); !slices.ContainsFunc(found, func(s string) bool { return strings.Contains(s, want) }) {
			t.Errorf("%q is not found, but %q", want, found)
		}
	}
}

func many(p *Puller, n int, old bool) (asks []*ask) {
	for i := range n {
		asks = append(asks, &ask{of: p.near[0], number: 1000 + uint64(i), old: old})
	}
	return asks
}

// free is a stripe that block 0 lacks and that nobody was asked for.
func free(p *Puller) int {
	stripes, _, _, _ := p.asked(0)
	return bits.TrailingZeros64(p.all &^ stripes &^ p.at(0).have)
}
