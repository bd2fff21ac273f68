package playout

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stripecast/stripecast/stripe"
)

// at is a virtual moment.
func at(d time.Duration) time.Time { return time.Unix(1e9, 0).Add(d) }

func block(n uint64, source int64, flags stripe.Flags) Block {
	return Block{Header: stripe.Header{Epoch: 1, Number: n, SourceTime: source, Flags: flags}, Data: blockData(n)}
}

func TestConfigValidate(t *testing.T) {
	good := DefaultConfig()
	if err := good.Validate(); err != nil {
		t.Fatal(err)
	}
	for _, c := range []Config{
		{Delay: MinDelay - 1, BlockTime: good.BlockTime},
		{Delay: MaxDelay + 1, BlockTime: good.BlockTime},
		{Delay: good.Delay},
		{Delay: good.Delay, BlockTime: stripe.MaxBlockTime + 1},
	} {
		if err := c.Validate(); !errors.Is(err, ErrConfig) {
			t.Errorf("%+v: %v", c, err)
		}
	}
}

func TestFullPlaysTheOldestEarly(t *testing.T) {
	t.Run("blocks", func(t *testing.T) {
		b := New(Config{Delay: MaxDelay, BlockTime: 20 * time.Millisecond})
		played := 0
		for n := range uint64(2 * MaxHeld) {
			played += len(b.Handle(at(0), block(n, int64(n)*20, stripe.RandomAccess)))
			if held := b.Stats().Held; held > MaxHeld {
				t.Fatalf("%d blocks held", held)
			}
		}
		if s := b.Stats(); played != MaxHeld || s.Early != MaxHeld || s.Held != MaxHeld {
			t.Fatalf("played %d, %+v", played, s)
		}
	})
	t.Run("bytes", func(t *testing.T) {
		b := New(Config{Delay: MaxDelay, BlockTime: 100 * time.Millisecond})
		data := make([]byte, stripe.MaxBlock)
		for n := range uint64(100) {
			in := block(2*n, int64(n)*200, stripe.RandomAccess) // every other one is missing
			in.Data = data
			b.Handle(at(startWait), in)
			b.Handle(at(2*startWait), Wake{}) // the first starts it
			if held := b.Stats().Bytes; held > MaxHeldBytes {
				t.Fatalf("%d bytes held", held)
			}
		}
		if s := b.Stats(); s.Played != 100-MaxHeldBytes/stripe.MaxBlock || s.Skipped != s.Played-1 {
			t.Fatalf("%+v", s)
		}
	})
	t.Run("heads", func(t *testing.T) {
		b := New(DefaultConfig())
		for n := range uint64(3 * MaxHeads) {
			b.Handle(at(0), Head{Epoch: 1, Number: n, SourceTime: int64(n)})
		}
		if len(b.entries) != MaxHeads || b.heads != MaxHeads {
			t.Fatalf("%d entries", len(b.entries))
		}
	})
}

// TestHugeGap: a jump of numbers costs no more than a small one.
func TestHugeGap(t *testing.T) {
	b := New(DefaultConfig())
	b.Handle(at(0), block(0, 0, stripe.RandomAccess))
	b.Handle(at(2*time.Second), block(1<<32-1, 2000, 0))
	wakes := 0
	for d, ok := b.Deadline(); ok; d, ok = b.Deadline() {
		b.Handle(d, Wake{})
		if wakes++; wakes > 100 {
			t.Fatal("too many wakes")
		}
	}
	if s := b.Stats(); s.Played != 2 || s.Skipped != 1<<32-2 {
		t.Fatalf("%+v", s)
	}
}

// TestDrift: a source whose clock is wrong by 100 ppm either way is played for
// two hours at a delay that stays what it is, without a skip, and with no two
// plays further apart than the block time and 1 %.
func TestDrift(t *testing.T) {
	for _, ppm := range []int64{-100, 100} {
		b := New(DefaultConfig())
		rnd := rand.New(rand.NewPCG(1, 1))
		var last time.Duration
		deliver := func(now time.Time, in Input) {
			for _, out := range b.Handle(now, in) {
				p := out.(Play) // there is nothing else
				d := now.Sub(at(0))
				if gap := d - last; p.Header.Number > 2 && (gap < 97*time.Millisecond || gap > 103*time.Millisecond) {
					t.Fatalf("%d ppm: block %d %v after the previous", ppm, p.Header.Number, gap)
				}
				last = d
				real := time.Duration(p.Header.Number) * 100 * time.Millisecond
				if late := d - real - 1500*time.Millisecond; p.Header.Number > 1 && (late < -20*time.Millisecond || late > 100*time.Millisecond) {
					t.Fatalf("%d ppm: block %d plays %v late", ppm, p.Header.Number, late)
				}
			}
		}
		for n := range uint64(2 * 36000) {
			real := time.Duration(n) * 100 * time.Millisecond
			source := real + real*time.Duration(ppm)/1e6
			now := at(real + 40*time.Millisecond + time.Duration(rnd.IntN(50))*time.Millisecond)
			for d, ok := b.Deadline(); ok && !d.After(now); d, ok = b.Deadline() {
				deliver(d, Wake{})
			}
			flags := stripe.Flags(0)
			if n%20 == 0 {
				flags = stripe.RandomAccess
			}
			deliver(now, block(n, 1e12+source.Milliseconds(), flags))
		}
	}
}

// TestSlew: a path that becomes faster by 2 s moves playing by 1 %, not at once.
func TestSlew(t *testing.T) {
	var b base
	b.sample(0, 3*time.Second)
	b.settled = true
	b.sample(time.Second, time.Second)
	b.slew(time.Second)
	if b.used != 2990*time.Millisecond {
		t.Fatalf("moved to %v", b.used)
	}
	b.slew(time.Hour)
	if b.used != time.Second {
		t.Fatalf("arrived at %v", b.used)
	}
}

// TestBaseForgets: the minimum holds for one to two minutes.
func TestBaseForgets(t *testing.T) {
	var b base
	b.sample(0, time.Second)
	for s := range 180 {
		b.sample(time.Duration(s)*time.Second, 2*time.Second)
		want := time.Second
		if s >= 120 {
			want = 2 * time.Second
		}
		if b.target() != want {
			t.Fatalf("%d s: %v", s, b.target())
		}
	}
	b.sample(400*time.Second, 3*time.Second) // nothing came for long: both are old
	if b.target() != 3*time.Second {
		t.Fatalf("still %v", b.target())
	}
}

// TestTimesNeverFall: whatever a source says, a block's time is between those of
// its neighbours, so that none holds up its successors.
func TestTimesNeverFall(t *testing.T) {
	for seed := range uint64(200) {
		rnd := rand.New(rand.NewPCG(seed, 3))
		b := New(Config{Delay: MaxDelay, BlockTime: 100 * time.Millisecond})
		b.Handle(at(0), block(0, 1e6, stripe.RandomAccess))
		b.Handle(at(2*time.Second), block(1, 1e6+100, 0))
		for i := range 60 {
			n := 2 + rnd.Uint64N(60)
			source := 1e6 + int64(n)*100
			if rnd.IntN(3) == 0 {
				source += rnd.Int64N(100_000) - 50_000
			}
			b.Handle(at(2*time.Second+time.Duration(i)*10*time.Millisecond), block(n, source, 0))
			for j := 1; j < len(b.entries); j++ {
				if b.entries[j].at < b.entries[j-1].at {
					t.Fatalf("seed %d: block %d is before block %d", seed, b.entries[j].Number, b.entries[j-1].Number)
				}
			}
		}
		if b.entries[0].at < b.last.at {
			t.Fatalf("seed %d: the first entry is before what played", seed)
		}
	}
}

// TestFlagsOfTheBlockCount: a header told without its flags hides no start.
func TestFlagsOfTheBlockCount(t *testing.T) {
	b := New(DefaultConfig())
	b.Handle(at(0), Head{Epoch: 1, Number: 9, SourceTime: 2000})
	b.Handle(at(0), Head{Epoch: 1, Number: 1})
	b.Handle(at(1), block(0, 0, 0))
	if out := b.Handle(at(1), block(1, 100, stripe.RandomAccess)); len(out) != 1 || out[0].(Play).Header.Number != 1 {
		t.Fatalf("%v", out)
	}
}

func TestNumberThatCannotTravel(t *testing.T) {
	b := New(DefaultConfig())
	if b.Handle(at(0), block(1<<32, 0, stripe.RandomAccess)); b.Stats().Late != 1 || b.Stats().Held != 0 {
		t.Fatalf("%+v", b.Stats())
	}
}

func TestUnknownInputPanics(t *testing.T) {
	defer func() {
		if r := recover(); r == nil {
			t.Fatal("no panic")
		}
	}()
	New(DefaultConfig()).Handle(at(0), nil)
}

func TestTimeNeverRunsBack(t *testing.T) {
	b := New(DefaultConfig())
	b.Handle(at(10*time.Second), block(0, 0, stripe.RandomAccess))
	b.Handle(at(11*time.Second), Wake{})
	if out := b.Handle(at(0), block(1, 100, 0)); len(out) != 0 {
		t.Fatalf("%v", out)
	}
	if d, ok := b.Deadline(); !ok || !d.After(at(11*time.Second)) {
		t.Fatalf("deadline %v %v", d, ok)
	}
}

// checker holds what must be true of any run, whatever came in.
type checker struct {
	epoch   uint32
	next    uint64
	started bool
	skipped int
	ended   bool
}

func (c *checker) check(out Output) error {
	switch out := out.(type) {
	case Play:
		h := out.Header
		switch {
		case c.ended:
			return errors.New("play after the end")
		case c.started && h.Epoch != c.epoch:
			return fmt.Errorf("epoch %d after %d", h.Epoch, c.epoch)
		case c.started && h.Number != c.next:
			return fmt.Errorf("block %d, want %d", h.Number, c.next)
		case out.Skipped != c.skipped || c.skipped > 0 && !out.Discontinuity:
			return fmt.Errorf("block %d says %d skipped, want %d", h.Number, out.Skipped, c.skipped)
		case string(out.Data) != string(blockData(h.Number)):
			return fmt.Errorf("block %d: wrong bytes", h.Number)
		}
		c.epoch, c.next, c.started, c.skipped = h.Epoch, h.Number+1, true, 0
	case Skip:
		if !c.started || out.From != c.next || out.To < out.From {
			return fmt.Errorf("skip %v, want from %d", out, c.next)
		}
		c.next, c.skipped = out.To+1, c.skipped+int(out.To-out.From)+1
	case Epoch:
		if c.started && out.Epoch <= c.epoch {
			return fmt.Errorf("epoch %d after %d", out.Epoch, c.epoch)
		}
		*c = checker{epoch: out.Epoch}
	case Ended:
		if c.ended {
			return errors.New("ended twice")
		}
		c.ended = true
	default:
		return fmt.Errorf("unknown output %T", out)
	}
	return nil
}
