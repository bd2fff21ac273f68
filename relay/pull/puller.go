package pull

import (
	"fmt"
	"math/bits"
	"math/rand/v2"
	"time"

	"github.com/stripecast/stripecast/membership"
	"github.com/stripecast/stripecast/overlay"
	"github.com/stripecast/stripecast/stripe"
)

// Config says whose Puller it is and what for.
type Config struct {
	Self membership.NodeID
	// Info is the stream's. Another epoch or layout needs another Puller.
	Info stripe.Info
	// Pulls says that the participant rebuilds blocks, and so has all shards of a block
	// in the end. One who does not carries Stripes, asks for nothing, looks for no
	// neighbours, and serves those who ask to be.
	Pulls bool
	// Stripes are those carried, if it does not pull: bit i is stripe i.
	Stripes uint64
	// Delay is how long after the earliest time at which a block can be seen it is
	// played: from then on it is not asked for.
	Delay time.Duration
	// Store tells what is held.
	Store Store
	// Meter has the upload for what is served, ServeShare of it all. With nil nothing is.
	Meter Meter
}

// Store is what the participant holds of the stream; it is asked, never told.
type Store interface {
	// Holds tells which shards of a block are held, bit i for stripe i, and how many
	// bytes one of them is as it travels.
	Holds(number uint64) (stripes uint64, size int)
	// Runs are the stretches of whole blocks held besides those of late, ascending.
	// What they hold is less certain: the caller answers for it with Lost.
	Runs() []overlay.Run
	// Here tells which shards of a block need not be fetched with history.
	Here(number uint64) uint64
}

// Meter lets bytes through at a rate, by debt, as relay.Bucket does: Take always
// takes, and Wait(now, n) is how long until n bytes more are paid for.
type Meter interface {
	Wait(now time.Time, n int) time.Duration
	Take(now time.Time, n int) time.Duration
}

// Output is something a Puller wants done. The set is closed.
type Output interface{ output() }

// Say says Msg to To, who is connected.
type Say struct {
	To  membership.NodeID
	Msg overlay.Message
}

// Serve sends a held shard to To; it is dropped if it has not gone at Expires. It is
// paid for already. If it is not held any more, the caller says Lost.
type Serve struct {
	To      membership.NodeID
	Number  uint64
	Stripe  int
	Expires time.Time
}

// Dial connects to Peer, who is in the book.
type Dial struct{ Peer membership.NodeID }

// Hangup ends the connection to a peer that sends what nobody asked for.
type Hangup struct {
	Peer   membership.NodeID
	Reason string
}

// Absent: nobody has enough of this block of history, and it is passed over.
type Absent struct{ Number uint64 }

// Taken: a block of history is fetched from now on, or passed over if there is enough
// of it Here.
type Taken struct{ Number uint64 }

func (Taken) output()  {}
func (Say) output()    {}
func (Serve) output()  {}
func (Dial) output()   {}
func (Hangup) output() {}
func (Absent) output() {}

// Puller is one participant's part in pulling one stream. It has one owner.
type Puller struct {
	cfg    Config
	tag    stripe.Tag
	all    uint64 // every stripe
	book   *membership.Book
	rnd    *rand.Rand
	out    []Output
	dirty  bool // something happened since the last Step
	closed bool
	over   bool // no new blocks come: what we hold is told seldom
	next   time.Time
	counts Counters

	// Who there is.
	peers      []*peer      // connected, by ID
	near       []*neighbour // by ID
	shuns      []shun
	dials      []shun // dialled to be neighbours, and until when
	ancestors  []membership.ShortID
	seekAt     time.Time
	reviewAt   time.Time
	displaceAt time.Time // nobody is parted with for a lonely one before
	strangerAt time.Time // no stranger is answered before

	// Live blocks, from low to top.
	ring    [MaxBlocks]block
	started bool
	begin   uint64 // what lies before is history
	low     uint64
	top     uint64
	open    uint64 // none below is of interest any more
	settled uint64 // the newest block of which we have something, and that is not expected to change
	clock   timeline
	tail    tail
	aged    uint64    // before it all blocks' ends are learnt from
	silent  uint64    // stripes on which nothing is to be expected
	gotAt   time.Time // when a shard last came that was not held
	heardAt time.Time // when anything last came

	// What is asked.
	asks       []*ask
	answeredAt time.Time // when a neighbour last sent what was asked
	againAt    time.Time // when to look again; zero if all is asked
	history    history

	// What is told.
	eventAt    time.Time // no Holes before
	probeAt    time.Time
	probePause time.Duration
	probeTurn  int

	// What is served.
	serveTurn int
	serveAt   time.Time // when the meter has room for the next; zero if nothing waits
}

// Counters of one Puller since it was made. Shards, unless said.
type Counters struct {
	Asked     uint64 // asked for
	Answered  uint64 // of them, came while waited for
	Late      uint64 // came when no longer waited for
	Wasted    uint64 // came, late or not, and were not needed any more: as the next four say
	Spare     uint64 // wasted: one more than needed, and enough of the others came
	Twice     uint64 // wasted: pulled already, from another
	Pushed    uint64 // wasted: push had brought it after all
	Whole     uint64 // wasted: others had made up for it
	Retried   uint64 // not come in time, and given up with that neighbour
	Lacked    uint64 // answered: not here
	Busy      uint64 // answered: busy
	Cancelled uint64 // taken back
	Unasked   uint64 // came without having been asked for
	Missed    uint64 // blocks that were short at their deadline
	Served    uint64 // sent to neighbours
	Refused   uint64 // not sent: busy
	Dropped   uint64 // wants over a neighbour's rate, not answered
	Told      uint64 // bytes of Window and Holes
	Spoken    uint64 // bytes of all messages
}

// New returns a Puller without neighbours. It shares the book with the rest of its
// participant.
func New(now time.Time, cfg Config, book *membership.Book, rnd *rand.Rand) *Puller {
	p := &Puller{
		cfg: cfg, tag: cfg.Info.Stream.Tag(), book: book, rnd: rnd, dirty: true,
		all:    1<<cfg.Info.Layout.N() - 1,
		seekAt: now, reviewAt: now.Add(reviewEvery), probePause: probeEvery,
		clock: newTimeline(now, cfg.Info.BlockTime, cfg.Delay),
	}
	if cfg.Pulls {
		p.cfg.Stripes = p.all
	}
	p.Step(now)
	return p
}

// enough is how many shards of a block make it whole for us.
func (p *Puller) enough() int {
	if p.cfg.Pulls {
		return p.cfg.Info.Layout.K
	}
	return bits.OnesCount64(p.cfg.Stripes)
}

// Take returns what is to be done since the last call. The slice is reused.
func (p *Puller) Take() []Output {
	out := p.out
	p.out = p.out[len(p.out):]
	return out
}

func (p *Puller) say(to membership.NodeID, m overlay.Message) {
	n := uint64(len(overlay.Encode(m)))
	p.counts.Spoken += n
	switch m.(type) {
	case *overlay.Window, *overlay.Holes:
		p.counts.Told += n
	}
	p.out = append(p.out, Say{To: to, Msg: m})
}

// Counters tells what happened so far.
func (p *Puller) Counters() Counters { return p.counts }

// Heard takes a message of pull from a connected peer: Window, Holes, Want, Lack,
// Cancel or Part, with this stream's tag.
func (p *Puller) Heard(now time.Time, from membership.NodeID, m overlay.Message) {
	at := p.peer(from)
	if at == nil {
		return
	}
	p.dirty = true
	p.hear(now)
	nb := p.neighbour(from)
	if nb != nil {
		nb.heard = now
	}
	switch m := m.(type) {
	case *overlay.Window:
		p.window(now, at, nb, m)
	case *overlay.Holes:
		if nb != nil {
			nb.change(now, m)
		}
	case *overlay.Want:
		p.wanted(now, from, nb, m)
	case *overlay.Lack:
		if nb != nil {
			p.lacked(now, nb, m)
		}
	case *overlay.Cancel:
		if nb != nil {
			nb.forget(m.Pieces)
		}
	case *overlay.Part:
		p.parted(now, at, nb)
	default:
		panic(fmt.Sprintf("pull: message %T", m))
	}
}

// Step does what is due at now. It costs next to nothing if nothing is.
func (p *Puller) Step(now time.Time) {
	if !p.dirty && now.Before(p.next) {
		return
	}
	p.dirty, p.next = false, now.Add(time.Minute)
	if p.closed {
		return
	}
	p.expire(now)
	p.dropSilent(now)
	p.raise(now)
	p.review(now)
	p.askAll(now)
	p.serve(now)
	p.tell(now)
	p.seek(now)
}

// wake has the next Step come no later than at; a time that is past counts as soon.
func (p *Puller) wake(now, at time.Time) {
	if !at.After(now) {
		at = now.Add(time.Millisecond)
	}
	if at.Before(p.next) {
		p.next = at
	}
}

// End says that the last block is known: nothing new is to be looked for.
func (p *Puller) End(now time.Time) {
	p.over, p.dirty = true, true
	for _, nb := range p.near {
		nb.heard = now // who knows it as well says less from now on
	}
}

// Deadline is when Step next has something to do. What a method was told may have
// made something due: call Step after it.
func (p *Puller) Deadline() time.Time { return p.next }
