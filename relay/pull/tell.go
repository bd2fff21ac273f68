package pull

import (
	"time"

	"github.com/stripecast/stripecast/overlay"
)

// What we hold is told by what we do not: a neighbour is taken to have every shard
// of the stripes that it carries, from some block on, unless it said otherwise.

// live reports whether what comes, comes.
func (p *Puller) live(now time.Time) bool {
	return p.started && now.Sub(p.gotAt) < max(5*p.cfg.Info.BlockTime, time.Second)
}

// offered are the stripes that we carry and have upload to serve. Who has none says
// so, and is asked for nothing.
func (p *Puller) offered(now time.Time) uint64 {
	if p.cfg.Meter == nil || p.cfg.Meter.Wait(now, 0) > stateMost {
		return 0
	}
	return p.cfg.Stripes
}

// state is a Window of what is held now.
func (p *Puller) state(now time.Time, ask bool) *overlay.Window {
	m := &overlay.Window{
		Tag: p.tag, Epoch: p.cfg.Info.Epoch, Ask: ask,
		Lonely: p.cfg.Pulls && p.lonely(), Stripes: p.offered(now),
	}
	run, holes, ok := p.liveRun(m.Stripes)
	for _, r := range p.cfg.Store.Runs() {
		switch {
		case ok && r.Last+1 >= run.First:
			run.First = min(run.First, r.First) // they touch
		default:
			m.Runs = append(m.Runs, r)
		}
	}
	if ok {
		m.Runs, m.Holes, m.Live = append(m.Runs, run), holes, p.live(now)
	}
	m.Runs = m.Runs[max(0, len(m.Runs)-overlay.MaxRuns):]
	return m
}

// liveRun is what is held of the live blocks. Where too much is missing of old ones
// they are not told of.
func (p *Puller) liveRun(offered uint64) (run overlay.Run, holes []overlay.Piece, ok bool) {
	if !p.started || p.settled < p.low {
		return run, nil, false
	}
	run.Last = p.settled
	for n := p.settled; ; n-- {
		held, _ := p.cfg.Store.Holds(n)
		b := p.at(n)
		missing := offered &^ held
		if missing != 0 {
			if len(holes) == overlay.MaxHoles {
				break
			}
			holes = append(holes, overlay.Piece{Number: n, Stripes: missing})
		}
		b.listed = missing != 0
		if held != 0 {
			run.First, ok = n, true
		}
		if n == p.low {
			break
		}
	}
	for len(holes) > 0 && holes[len(holes)-1].Number < run.First {
		holes = holes[:len(holes)-1]
	}
	for i, j := 0, len(holes)-1; i < j; i, j = i+1, j-1 {
		holes[i], holes[j] = holes[j], holes[i]
	}
	return run, holes, ok
}

// tell tells neighbours what they should know by now.
func (p *Puller) tell(now time.Time) {
	for _, nb := range p.near {
		if !now.Before(nb.stateAt) {
			p.tellAll(now, nb, false)
		}
		p.wake(now, nb.stateAt)
	}
	p.tellHoles(now)
	p.probe(now)
}

func (p *Puller) tellAll(now time.Time, nb *neighbour, ask bool) {
	every := p.interval(p.offered(now))
	nb.stateAt = now.Add(every - every/10 + time.Duration(p.rnd.Int64N(int64(every/5))))
	p.say(nb.id, p.state(now, ask))
}

// tellHoles tells of blocks that have lacked something for a while, and of those
// that lack nothing any more.
func (p *Puller) tellHoles(now time.Time) {
	offered := p.offered(now)
	if len(p.near) == 0 || !p.started || offered == 0 {
		return
	}
	m := &overlay.Holes{Tag: p.tag, Newest: p.settled}
	soon := now.Before(p.eventAt)
	for n := p.open; n <= min(p.top, p.settled) && len(m.Holes) < overlay.MaxHoles; n++ {
		b := p.at(n)
		held, _ := p.cfg.Store.Holds(n)
		missing := offered &^ held
		at := b.due.Add(holeAge)
		switch {
		case b.told == 0 && missing != 0 && now.Before(at):
			p.wake(now, at)
		case b.told == 0 && missing != 0, (b.told != 0 || b.listed) && missing == 0:
			if soon {
				p.wake(now, p.eventAt)
				return
			}
			m.Holes = append(m.Holes, overlay.Piece{Number: n, Stripes: missing})
			b.told, b.listed = missing, missing != 0
		}
	}
	if len(m.Holes) == 0 {
		return
	}
	p.eventAt = now.Add(eventEvery)
	p.dirty = p.dirty || len(m.Holes) == overlay.MaxHoles
	for _, nb := range p.near {
		p.say(nb.id, m)
	}
}

// probe asks what there is while nothing comes: the source may be pausing, or we cut
// off from all parents.
func (p *Puller) probe(now time.Time) {
	if !p.cfg.Pulls || !p.started || p.over || len(p.near) == 0 {
		return
	}
	if still := p.gotAt.Add(max(3*p.cfg.Info.BlockTime, stillMin)); now.Before(still) {
		p.probePause = probeEvery
		p.wake(now, still)
		return
	}
	if now.Before(p.probeAt) {
		p.wake(now, p.probeAt)
		return
	}
	p.probeAt = now.Add(p.probePause)
	p.probePause = min(2*p.probePause, probeMost)
	p.wake(now, p.probeAt)
	for range min(probeAtOnce, len(p.near)) {
		p.probeTurn++
		p.tellAll(now, p.near[p.probeTurn%len(p.near)], true)
	}
}
