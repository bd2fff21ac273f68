package overlay

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stripecast/stripecast/membership"
	"github.com/stripecast/stripecast/stripe"
)

// TestStories tells the stories of testdata/*.txt. A story is what one Forest is
// told and when; below the line stands what it wants done, in virtual time.
//
//	config layout=K+M [slots=N] [source] [all]
//	TIME know NAME [homes=S,S…] [free=N] [slots=N] [depth=N] [at=IP]
//	TIME up NAME | down NAME
//	TIME got S N | gots S-S N
//	TIME NAME subscribe S [from=N] [fresh] [interior] [last] [newer]
//	TIME NAME accept S PATH | refuse S REASON [NAMES] | drop S REASON [NAMES]
//	TIME NAME leave S | route S PATH | repairing S | promise S PATH | live N
//	TIME wait | leave | close | end | quiet NAME | showed NAME SLOTS | slots N
//	TIME place S…
func TestStories(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("no stories", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			story, want, _ := strings.Cut(string(text), "----\n")
			got := newTeller(t).tell(story)
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

var storyStart = time.Unix(1_700_000_000, 0)

// teller runs one story.
type teller struct {
	t      *testing.T
	info   stripe.Info
	book   *membership.Book
	forest *Forest
	names  []string
	seq    uint64
	out    strings.Builder
}

func newTeller(t *testing.T) *teller {
	return &teller{t: t, book: membership.NewBook(nodeID("me"), nil), names: []string{"me", "source"}}
}

func nodeKey(name string) ed25519.PrivateKey {
	seed := sha256.Sum256([]byte(name))
	return ed25519.NewKeyFromSeed(seed[:])
}

func nodeID(name string) membership.NodeID { return membership.NodeIDOf(nodeKey(name)) }

func (s *teller) id(name string) membership.NodeID {
	if !slices.Contains(s.names, name) {
		s.names = append(s.names, name)
	}
	return nodeID(name)
}

func (s *teller) name(id membership.NodeID) string {
	for _, n := range s.names {
		if nodeID(n) == id {
			return n
		}
	}
	return "nobody"
}

func (s *teller) tell(story string) string {
	for line := range strings.Lines(story) {
		words := strings.Fields(line)
		if len(words) == 0 || words[0] == "#" {
			continue
		}
		if words[0] == "config" {
			s.config(words[1:])
			continue
		}
		at, err := time.ParseDuration(words[0])
		if err != nil {
			s.t.Fatalf("%q: %v", line, err)
		}
		now := storyStart.Add(at)
		s.until(now)
		s.do(now, words[1:])
		s.print(now)
	}
	return s.out.String()
}

// until lets the forest's own time pass.
func (s *teller) until(now time.Time) {
	for {
		at, ok := s.forest.Deadline()
		if !ok || at.After(now) {
			return
		}
		s.forest.Step(at)
		s.print(at)
		if next, ok := s.forest.Deadline(); ok && !next.After(at) {
			s.t.Fatalf("at %v a step leaves the deadline %v", at.Sub(storyStart), next.Sub(storyStart))
		}
	}
}

func (s *teller) config(words []string) {
	layout, err := stripe.ParseLayout(option(words, "layout", "4+2"))
	if err != nil {
		s.t.Fatal(err)
	}
	s.info = stripe.Info{
		Stream: stripe.ID{9}, Epoch: 1, Layout: layout, BlockTime: 100 * time.Millisecond,
		Root: nodeID("source"), Rate: 1e6,
	}
	self := "me"
	if slices.Contains(words, "source") {
		self = "source"
	}
	s.forest = New(storyStart, Config{
		Self: nodeID(self), Info: s.info, Source: self == "source", All: slices.Contains(words, "all"),
		Slots: number(s.t, option(words, "slots", "0")), Back: 1500 * time.Millisecond,
	}, s.book, rand.New(rand.NewPCG(1, 2)))
	s.print(storyStart)
}

func option(words []string, key, otherwise string) string {
	for _, w := range words {
		if v, ok := strings.CutPrefix(w, key+"="); ok {
			return v
		}
	}
	return otherwise
}

func number(t *testing.T, s string) int {
	n, err := strconv.Atoi(s)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func (s *teller) do(now time.Time, words []string) {
	f := s.forest
	switch words[0] {
	case "wait":
		f.Step(now)
	case "know":
		if _, err := s.book.Add(now, s.record(words[1:])); err != nil {
			s.t.Fatal(err)
		}
	case "up":
		f.Up(now, s.id(words[1]))
	case "down":
		f.Down(now, s.id(words[1]))
	case "quiet":
		f.Quiet(now, s.id(words[1]), true)
	case "got":
		f.Got(now, f.Branch(now, number(s.t, words[1])).Parent, number(s.t, words[1]), uint64(number(s.t, words[2])))
	case "gots":
		from, to, _ := strings.Cut(words[1], "-")
		for i := number(s.t, from); i <= number(s.t, to); i++ {
			f.Got(now, f.Branch(now, i).Parent, i, uint64(number(s.t, words[2])))
		}
	case "slots":
		f.SetSlots(now, number(s.t, words[1]))
	case "leave":
		over := f.Leave(now)
		fmt.Fprintf(&s.out, "%v leaving until %v\n", now.Sub(storyStart), over.Sub(storyStart))
	case "end":
		f.End(now, f.head)
	case "close":
		f.Close()
	case "showed":
		slots, err := strconv.ParseFloat(words[2], 64)
		if err != nil {
			s.t.Fatal(err)
		}
		f.Showed(now, s.id(words[1]), slots)
	case "place":
		for _, w := range words[1:] {
			b := f.Branch(now, number(s.t, w))
			parent := s.name(b.Parent)
			fmt.Fprintf(&s.out, "%v place %s: parent %s, depth %d, live %v, home %v\n", now.Sub(storyStart), w, parent, b.Depth, b.Live, b.Home)
		}
	default:
		f.Heard(now, s.id(words[0]), s.message(words[1:]))
	}
}

// record is that of a node as a story describes it.
func (s *teller) record(words []string) []byte {
	s.seq++
	s.id(words[0])
	c := membership.Carried{
		Stream: s.info.Stream, Epoch: s.info.Epoch,
		Free: number(s.t, option(words, "free", "5")), Depth: number(s.t, option(words, "depth", "1")),
		Source: words[0] == "source",
	}
	for _, h := range strings.Split(option(words, "homes", "0"), ",") {
		c.Homes |= 1 << number(s.t, h)
	}
	return membership.Record{
		Node: nodeID(words[0]), Seq: s.seq, TTL: time.Minute, Slots: number(s.t, option(words, "slots", "8")),
		Addrs:   []netip.AddrPort{netip.MustParseAddrPort(option(words, "at", "10.0.0.1") + ":7070")},
		Streams: []membership.Carried{c},
	}.Sign(nodeKey(words[0]))
}

func (s *teller) message(words []string) Message {
	stripe, id := number(s.t, words[1]), s.info.Stream
	has := func(w string) bool { return slices.Contains(words, w) }
	names := func(i int) []string {
		if i >= len(words) {
			return nil
		}
		return strings.Split(words[i], ",")
	}
	switch words[0] {
	case "subscribe":
		return &Subscribe{
			Stream: id, Stripe: stripe, From: uint64(number(s.t, option(words, "from", "0"))), Back: time.Second,
			Fresh: has("fresh"), Interior: has("interior"), LastResort: has("last"), IfNewer: has("newer"), Standby: has("standby"), Live: number(s.t, option(words, "live", "0")),
		}
	case "accept":
		return &Accept{Stream: id, Stripe: stripe, Path: s.path(names(2))}
	case "route":
		return &Route{Stream: id, Stripe: stripe, Path: s.path(names(2))}
	case "refuse":
		return &Refuse{Stream: id, Stripe: stripe, Reason: reason(words[2]), Alternatives: s.records(names(3))}
	case "drop":
		return &Drop{Stream: id, Stripe: stripe, Reason: reason(words[2]), Alternatives: s.records(names(3))}
	case "leave":
		return &Leave{Stream: id, Stripe: stripe}
	case "repairing":
		return &Repairing{Stream: id, Stripe: stripe}
	case "promise":
		return &Promise{Stream: id, Stripe: stripe, Path: s.path(names(2))}
	case "live":
		return &Live{Stream: id, Stripes: stripe}
	}
	s.t.Fatalf("no message %q", words)
	return nil
}

func reason(word string) Reason {
	for r := Full; r < reasonCount; r++ {
		if strings.HasPrefix(r.String(), word) {
			return r
		}
	}
	panic("no reason " + word)
}

func (s *teller) path(names []string) (path []membership.ShortID) {
	for _, n := range names {
		path = append(path, s.id(n).Short())
	}
	return path
}

// records are those of nodes the book knows.
func (s *teller) records(names []string) (records [][]byte) {
	for _, n := range names {
		e, ok := s.book.Get(s.id(n))
		if !ok {
			s.t.Fatalf("nobody knows %s", n)
		}
		records = append(records, e.Raw)
	}
	return records
}

// print writes what the forest wants done.
func (s *teller) print(now time.Time) {
	for _, o := range s.forest.Take() {
		fmt.Fprintf(&s.out, "%v ", now.Sub(storyStart).Round(time.Millisecond))
		switch o := o.(type) {
		case Send:
			fmt.Fprintf(&s.out, "%s ← %s\n", s.name(o.To), s.words(o.Msg))
		case Dial:
			fmt.Fprintf(&s.out, "dial %s\n", s.name(o.Peer))
		case Feed:
			fmt.Fprintf(&s.out, "feed %s stripe %d from %d fresh %v\n", s.name(o.Child), o.Stripe, o.From, o.Fresh)
		case Starve:
			fmt.Fprintf(&s.out, "starve %s stripe %d\n", s.name(o.Child), o.Stripe)
		default:
			s.t.Fatalf("output %T", o)
		}
	}
	s.checkAncestors(now)
}

// checkAncestors holds who the forest says stands above us to the paths of its stripes.
func (s *teller) checkAncestors(now time.Time) {
	var above []membership.ShortID
	for _, b := range s.forest.branches {
		above = append(above, b.path...)
	}
	slices.SortFunc(above, func(a, b membership.ShortID) int { return bytes.Compare(a[:], b[:]) })
	told := slices.Clone(s.forest.Ancestors())
	slices.SortFunc(told, func(a, b membership.ShortID) int { return bytes.Compare(a[:], b[:]) })
	if !slices.Equal(told, slices.Compact(above)) {
		s.t.Errorf("at %v %d ancestors are told, and %d are", now.Sub(storyStart), len(told), len(above))
	}
}

func (s *teller) words(m Message) string {
	switch m := m.(type) {
	case *Subscribe:
		text := fmt.Sprintf("subscribe %d from=%d", m.Stripe, m.From)
		for _, f := range []struct {
			on   bool
			name string
		}{{m.Fresh, " fresh"}, {m.Interior, " interior"}, {m.LastResort, " last"}, {m.IfNewer, " newer"}, {m.Standby, " standby"}} {
			if f.on {
				text += f.name
			}
		}
		return text
	case *Accept:
		return fmt.Sprintf("accept %d %s", m.Stripe, s.way(m.Path))
	case *Route:
		return fmt.Sprintf("route %d %s", m.Stripe, s.way(m.Path))
	case *Refuse:
		return fmt.Sprintf("refuse %d %v %s", m.Stripe, m.Reason, s.who(m.Alternatives))
	case *Drop:
		return fmt.Sprintf("drop %d %v %s", m.Stripe, m.Reason, s.who(m.Alternatives))
	case *Leave:
		return fmt.Sprintf("leave %d", m.Stripe)
	case *Repairing:
		return fmt.Sprintf("repairing %d", m.Stripe)
	case *Live:
		return fmt.Sprintf("live %d", m.Stripes)
	case *Show:
		return "show"
	case *Promise:
		return fmt.Sprintf("promise %d %s", m.Stripe, s.way(m.Path))
	}
	s.t.Fatalf("message %T", m)
	return ""
}

func (s *teller) way(path []membership.ShortID) string {
	var names []string
	for _, p := range path {
		i := slices.IndexFunc(s.names, func(n string) bool { return nodeID(n).Short() == p })
		names = append(names, s.names[i])
	}
	return strings.Join(names, ",")
}

func (s *teller) who(records [][]byte) string {
	var names []string
	for _, raw := range records {
		r, err := membership.OpenRecord(raw)
		if err != nil {
			s.t.Fatal(err)
		}
		names = append(names, s.name(r.Node))
	}
	return "[" + strings.Join(names, " ") + "]"
}
