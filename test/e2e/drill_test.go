//go:build unix

package e2e

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// drillReport is what these tests read of a rehearsal's report.
type drillReport struct {
	Stream, Name, Layout string
	Every                float64
	Rounds               []drillRound
	Total                struct {
		drillCounts
		Parents int `json:"parents_cut"`
	}
}

type drillCounts struct {
	Lost    int    `json:"stripes_lost"`
	Due     uint64 `json:"blocks_due"`
	Played  uint64 `json:"blocks_played"`
	Skipped uint64 `json:"blocks_skipped"`
	Still   float64
	TTR     *float64
	Spare   int `json:"least_spare"`
}

type drillRound struct {
	drillCounts
	Round, Viewer int
	Parents       []string `json:"parents_cut"`
	Live          int      `json:"live_stripes"`
	Length        float64
}

// TestDrill: a rehearsal in a pool of real processes cuts m parents, which are no
// source and notice nothing but a viewer that went; and says what it cost. A
// viewer beside it sees nothing at all.
func TestDrill(t *testing.T) {
	t.Parallel()
	const cut, rounds, viewers = 4, 2, 2
	file := writeFile(t, "clip.ts", record(t, 0, clipTime))
	source, link := startSource(t, options{}, file, "--loop", "--name", "drill", "--upload", "30M", "--layout", "16+4")
	relays := startRelays(t, 10, link)
	carrying(t, relays...)
	beside := startViewer(t, "viewer beside", link, "-o", os.DevNull, "--no-share")
	playing(t, beside)

	home := t.TempDir()
	drill := stripecast(t, homeAt(home), "drill", "drill", "--listen", "127.0.0.1:0", link,
		"--rounds", "2", "--viewers", "2", "--every", "4s", "--json")
	code := drill.exit(t, time.Minute)
	mustBeEmpty(t, home)
	var r drillReport
	if err := json.Unmarshal(drill.out.Bytes(), &r); err != nil {
		t.Fatalf("exit code %d, %v\n%s", code, err, drill.out)
	}
	if r.Stream != source.status(t).Stream || r.Name != "drill" || r.Layout != "16+4" || r.Every != 4 || len(r.Rounds) != rounds*viewers {
		t.Fatalf("%+v", r)
	}
	var nodes []string
	for _, n := range relays {
		nodes = append(nodes, nodeID(t, n))
		if !n.running() {
			t.Errorf("%s ended: %v", n.name, n.cmd.ProcessState)
		}
	}
	// Where nothing disturbs it nothing is skipped; what must hold anywhere is that
	// the report is right, and that nobody else pays for the rehearsal.
	var sum drillCounts
	for i, o := range r.Rounds {
		t.Logf("round %d, viewer %d: cut %d parents, lost %d of %d stripes; of %d blocks %d skipped, still %.2f s, fed again after %v s, least spare %d (%s)",
			o.Round, o.Viewer, len(o.Parents), o.Lost, o.Live, o.Due, o.Skipped, o.Still, seconds(o.TTR), o.Spare, load())
		if o.Round != i/viewers+1 || o.Viewer != i%viewers+1 || len(o.Parents) != cut || o.Lost < cut || o.Lost > o.Live {
			t.Errorf("round %d: %+v", i, o)
		}
		for _, p := range o.Parents {
			if !slices.Contains(nodes, p) {
				t.Errorf("%s was cut, which is none of the relays", p)
			}
		}
		// What was lost shows: the least spare is at most what is left without it,
		// and no stripe is fed again before its parent could be missed.
		if o.TTR == nil || *o.TTR < 0.2 || *o.TTR > o.Length || o.Spare > o.Live-16-o.Lost {
			t.Errorf("round %d: fed again after %v s of %.1f, least spare %d", i, seconds(o.TTR), o.Length, o.Spare)
		}
		if o.Due != o.Played+o.Skipped || float64(o.Due) < o.Length*2 || float64(o.Due) > o.Length*10 || o.Played < o.Due/2 {
			t.Errorf("round %d: %d blocks due in %.1f s: %d played, %d skipped", i, o.Due, o.Length, o.Played, o.Skipped)
		}
		sum.Lost, sum.Due, sum.Played, sum.Skipped = sum.Lost+o.Lost, sum.Due+o.Due, sum.Played+o.Played, sum.Skipped+o.Skipped
	}
	if s := r.Total; s.Parents != cut*rounds*viewers || s.Lost != sum.Lost || s.Due != sum.Due || s.Played != sum.Played || s.Skipped != sum.Skipped {
		t.Errorf("total %+v", r.Total)
	}
	if sum.Skipped > 0 {
		drill.says(t, `(?m)^error: \d+ of \d+ blocks were skipped\nhint: `, 0)
	}
	if (code == 0) != (sum.Skipped == 0) || code < 0 || code > 1 {
		t.Errorf("exit code %d with %d blocks skipped", code, sum.Skipped)
	}
	noneSkipped(t, beside)
}

func seconds(s *float64) any {
	if s == nil {
		return "?"
	}
	return *s
}

// nodeID is who a participant is.
func nodeID(t testing.TB, n *node) string {
	t.Helper()
	b, err := get(n.url + "api/status")
	if err != nil {
		t.Fatal(err)
	}
	var st struct{ Node string }
	if err := json.Unmarshal(b, &st); err != nil {
		t.Fatal(err)
	}
	return st.Node
}

// TestDrillCannot: what a rehearsal needs and does not find, it names.
func TestDrillCannot(t *testing.T) {
	t.Parallel()
	file := writeFile(t, "clip.ts", record(t, 0, clipTime))
	source, alone := startSource(t, options{}, file, "--loop", "--upload", "30M")
	id := source.status(t).Stream
	key := filepath.Join(t.TempDir(), "key")
	stripecast(t, options{}, "key", "key", "new", key).mustEnd(t, patience)
	show := stripecast(t, options{}, "key", "key", "show", key)
	show.mustEnd(t, patience)
	other := strings.Replace(alone, id, strings.TrimSpace(show.out.String()), 1)
	mistakes := []mistake{
		{name: "drill: no relay", args: []string{alone}, says: "no parent but the source", hint: "stripecast relay LINK"},
		{name: "drill: unreachable", args: []string{"stripecast://" + id + "@" + silentUDP(t) + "/x"}, says: "no host of the pool answers", hint: "UDP port"},
		{name: "drill: no such stream", args: []string{other}, says: "nobody in the pool carries", hint: "source runs"},
	}
	var drills []*proc // at the same time, for each is patient
	for _, m := range mistakes {
		drills = append(drills, stripecast(t, options{}, m.name, append([]string{"drill", "--listen", "127.0.0.1:0"}, m.args...)...))
	}
	for i, m := range mistakes {
		if code := drills[i].exit(t, 2*patience); code != 1 || drills[i].out.Len() > 0 {
			t.Errorf("%s: exit code %d, output %q", m.name, code, drills[i].out)
		}
		drills[i].says(t, `(?m)^error: .*`+m.says, 0)
		drills[i].says(t, `(?m)^hint: .*`+m.hint, 0)
	}
}

// TestDrillInterrupted: Ctrl-C ends it with the rounds that are over, if any.
func TestDrillInterrupted(t *testing.T) {
	t.Parallel()
	file := writeFile(t, "clip.ts", record(t, 0, clipTime))
	_, link := startSource(t, options{}, file, "--loop", "--upload", "30M")
	relays := startRelays(t, 3, link)
	carrying(t, relays...)
	drill := stripecast(t, options{}, "drill", "drill", "--listen", "127.0.0.1:0", link, "--parents", "1", "--every", "3s")
	drill.says(t, `round 2: viewer 1: cut 1 parents`, 2*patience)
	drill.signal(t, syscall.SIGINT)
	drill.mustEnd(t, patience)
	lines := strings.Split(strings.TrimSpace(drill.out.String()), "\n")
	row := regexp.MustCompile(`^ +1 +1 +1 +\d+ of 20 +\d+ +\d+ +\d+ +\d+\.\d\d s +(\d+\.\d\d s|not) +-?\d+$`)
	if len(lines) != 3 || !strings.HasPrefix(strings.TrimSpace(lines[0]), "round") || !row.MatchString(lines[1]) ||
		!strings.HasPrefix(strings.TrimSpace(lines[2]), "total") {
		t.Errorf("%s", drill.out)
	}
}
