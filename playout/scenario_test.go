package playout

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stripecast/stripecast/stripe"
)

var update = flag.Bool("update", false, "write the scenarios' outcomes into their files")

// TestScenarios plays the stories of testdata/*.txt. A story is a list of inputs
// with their times; below the line stands what the buffer does, in virtual time.
//
//	config delay=1.5s block=100ms
//	TIME block N src=MS [ra] [end] [parity] [epoch=E]
//	TIME head N src=MS [ra] [end] [epoch=E]
//	TIME blocks A-B src=MS every=DUR [pace=DUR] [ra=N,N…] [drop=N,N…] [epoch=E]
//	TIME stop
//	TIME stats
//
// "blocks" is one a pace, whose source times lie "every" apart.
func TestScenarios(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("no scenarios", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			story, want, _ := strings.Cut(string(text), "----\n")
			got := tell(t, story)
			if *update {
				if err := os.WriteFile(file, []byte(story+"----\n"+got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if got != want {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
		})
	}
}

// event is one input of a story, or a request for the stats when in is nil.
type event struct {
	at time.Duration
	in Input
}

func tell(t *testing.T, story string) string {
	cfg := DefaultConfig()
	var events []event
	for line := range strings.Lines(story) {
		line, _, _ = strings.Cut(line, "#")
		words := strings.Fields(line)
		if len(words) == 0 {
			continue
		}
		args := arguments(words[1:])
		if words[0] == "config" {
			cfg.Delay = args.duration(t, "delay", cfg.Delay)
			cfg.BlockTime = args.duration(t, "block", cfg.BlockTime)
			continue
		}
		at, err := time.ParseDuration(words[0])
		if err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		events = append(events, args.events(t, at, words[1])...)
	}
	slices.SortStableFunc(events, func(a, b event) int { return int(a.at - b.at) })
	return run(New(cfg), events)
}

// run feeds the events and the deadlines between them, then the deadlines left.
func run(b *Buffer, events []event) string {
	var log strings.Builder
	origin := time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)
	handle := func(now time.Time, in Input) {
		for _, out := range b.Handle(now, in) {
			fmt.Fprintf(&log, "%-6v %s\n", now.Sub(origin), describe(out))
		}
	}
	wake := func(until time.Time) {
		for {
			at, ok := b.Deadline()
			if !ok || at.After(until) {
				return
			}
			handle(at, Wake{})
		}
	}
	for _, e := range events {
		now := origin.Add(e.at)
		wake(now)
		if e.in == nil {
			fmt.Fprintf(&log, "%-6v %+v\n", e.at, b.Stats())
			continue
		}
		handle(now, e.in)
	}
	wake(origin.Add(1000 * time.Hour))
	return log.String()
}

func describe(out Output) string {
	switch out := out.(type) {
	case Play:
		s := fmt.Sprintf("play %d", out.Header.Number)
		if out.Skipped > 0 {
			s += fmt.Sprintf(" after %d skipped", out.Skipped)
		}
		if out.Discontinuity {
			s += ", discontinuity"
		}
		return s
	case Skip:
		return fmt.Sprintf("skip %d-%d", out.From, out.To)
	case Epoch:
		return fmt.Sprintf("epoch %d, dropped %d", out.Epoch, out.Dropped)
	case Ended:
		return "ended"
	default:
		panic(fmt.Sprintf("unknown output %T", out))
	}
}

// arguments are the words of a line, "key=value" or alone.
type arguments []string

func (a arguments) value(key string) string {
	for _, w := range a {
		if v, ok := strings.CutPrefix(w, key+"="); ok {
			return v
		}
	}
	return ""
}

func (a arguments) duration(t *testing.T, key string, otherwise time.Duration) time.Duration {
	v := a.value(key)
	if v == "" {
		return otherwise
	}
	d, err := time.ParseDuration(v)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func (a arguments) number(t *testing.T, s string, otherwise int64) int64 {
	if s == "" {
		return otherwise
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func (a arguments) lists(key string, n uint64) bool {
	return slices.Contains(strings.Split(a.value(key), ","), strconv.FormatUint(n, 10))
}

func (a arguments) header(t *testing.T, n uint64) stripe.Header {
	h := stripe.Header{
		Number:     n,
		Epoch:      uint32(a.number(t, a.value("epoch"), 1)),
		SourceTime: a.number(t, a.value("src"), 0),
	}
	if slices.Contains(a, "ra") || a.lists("ra", n) {
		h.Flags |= stripe.RandomAccess
	}
	if slices.Contains(a, "end") {
		h.Flags |= stripe.End
	}
	return h
}

func (a arguments) events(t *testing.T, at time.Duration, verb string) []event {
	switch verb {
	case "stop":
		return []event{{at, Stop{}}}
	case "stats":
		return []event{{at, nil}}
	case "head":
		h := a.header(t, uint64(a.number(t, a[1], 0)))
		return []event{{at, HeadOf(&h)}}
	case "block":
		h := a.header(t, uint64(a.number(t, a[1], 0)))
		return []event{{at, Block{Header: h, Data: blockData(h.Number), Parity: slices.Contains(a, "parity")}}}
	case "blocks":
		from, to, _ := strings.Cut(a[1], "-")
		first, last := uint64(a.number(t, from, 0)), uint64(a.number(t, to, 0))
		every := a.duration(t, "every", 100*time.Millisecond)
		pace := a.duration(t, "pace", every)
		var out []event
		for n := first; n <= last; n++ {
			h := a.header(t, n)
			h.SourceTime += int64(n-first) * every.Milliseconds()
			if !a.lists("drop", n) {
				out = append(out, event{at + time.Duration(n-first)*pace, Block{Header: h, Data: blockData(n)}})
			}
		}
		return out
	}
	t.Fatalf("unknown verb %q", verb)
	return nil
}

func blockData(n uint64) []byte { return []byte(strconv.FormatUint(n, 10)) }
