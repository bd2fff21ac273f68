package house

import (
	"maps"
	"slices"
	"strings"
	"testing"
)

// arrows is which packages of ours each package may import, tests apart. What
// lies under cmd may import all but test, and what lies under test all but cmd.
var arrows = map[string][]string{
	"stripe/wire": {},
	"stripe":      {"stripe/wire"},
	"stripe/ts":   {"stripe"},
	"fec":         {"stripe"},
	"membership":  {"stripe", "stripe/wire"},
	"overlay":     {"membership", "stripe", "stripe/wire"},
	"relay":       {"relay/pull", "overlay", "membership", "fec", "stripe"},
	"playout":     {"stripe"},

	"relay/pull":           {"overlay", "membership", "stripe"},
	"relay/quicnet":        {"relay", "membership", "stripe", "stripe/wire"},
	"relay/host":           {"fec", "relay", "relay/quicnet", "relay/store", "overlay", "membership", "membership/gossip", "stripe"},
	"relay/store":          {"stripe", "stripe/wire"},
	"relay/source":         {"fec", "membership", "stripe", "stripe/ts"},
	"relay/ingest":         {"relay/ingest/m3u", "relay/source", "stripe", "stripe/ts"},
	"relay/ingest/m3u":     {},
	"relay/ingest/ffmpeg":  {},
	"relay/ingest/station": {"relay/ingest", "relay/ingest/m3u", "relay/ingest/ffmpeg", "relay/source", "stripe", "stripe/ts"},
	"membership/gossip":    {"membership", "relay/quicnet", "stripe/wire"},
	"playout/sink":         {"playout"},
	"playout/hls":          {"playout/remux", "stripe"},
	"playout/httpd":        {"playout", "playout/hls", "playout/rewind", "stripe"},
	"playout/remux":        {"stripe", "stripe/ts"},
	"playout/rewind":       {"stripe"},
	"playout/view":         {"playout", "relay", "stripe"},

	"membership/gossip/gossiptest": {"membership", "relay/quicnet"},                  // a double, for tests
	"playout/rewind/rewindtest":    {"playout/rewind", "fec", "stripe", "stripe/ts"}, // likewise

	".ci/tally": {},
}

// others is which packages may import a module that is not ours.
var others = map[string]struct {
	tests bool     // only tests may
	by    []string // empty: any package
}{
	"github.com/quic-go/quic-go":          {by: []string{"relay/quicnet"}},
	"github.com/hashicorp/memberlist":     {by: []string{"membership/gossip"}},
	"github.com/hashicorp/go-msgpack/v2":  {by: []string{"membership/gossip"}, tests: true},
	"github.com/klauspost/reedsolomon":    {by: []string{"fec"}},
	"filippo.io/edwards25519":             {by: []string{"stripe"}},
	"golang.org/x/sys":                    {by: []string{"relay/store"}},
	"github.com/asticode/go-astits":       {tests: true},
	"github.com/chromedp/chromedp":        {by: []string{"test/e2e"}, tests: true},
	"github.com/chromedp/cdproto":         {by: []string{"test/e2e"}, tests: true},
	"github.com/prometheus/client_golang": {by: []string{"cmd/stripecast"}},
	"github.com/goccy/go-yaml":            {by: []string{"cmd/stripecast", "playout/httpd"}},
	"github.com/spf13/cobra":              {by: []string{"cmd/stripecast"}},
	"github.com/spf13/pflag":              {by: []string{"cmd/stripecast"}},
}

// arrowsPointDown finds imports of ours that the table does not have.
func arrowsPointDown(tr *tree) []string {
	var found []string
	for _, f := range tr.files {
		free := under(f.dir, "cmd") || under(f.dir, "test")
		may, known := arrows[f.dir]
		if f.test {
			continue
		}
		if !known && !free {
			found = append(found, tr.at(f.ast.Package, "%s is not in the table of who may import whom", f.dir))
			continue
		}
		for i, p := range f.imports() {
			dir, ours := strings.CutPrefix(p, module+"/")
			pos := f.ast.Imports[i].Pos()
			switch {
			case !ours:
			case under(dir, "cmd") && !under(f.dir, "cmd"):
				found = append(found, tr.at(pos, "%s imports a command, %s", f.dir, dir))
			case under(dir, "test") && !under(f.dir, "test"):
				found = append(found, tr.at(pos, "%s imports a package for tests, %s", f.dir, dir))
			case !free && !slices.Contains(may, dir):
				found = append(found, tr.at(pos, "%s must not know %s", f.dir, dir))
			}
		}
	}
	return found
}

// othersAreKept finds imports of modules by whom they are not for.
func othersAreKept(tr *tree) []string {
	var found []string
	for _, f := range tr.files {
		for i, p := range f.imports() {
			first, _, _ := strings.Cut(p, "/")
			if !strings.Contains(first, ".") || under(p, module) {
				continue
			}
			pos, listed := f.ast.Imports[i].Pos(), false
			for _, mod := range slices.Sorted(maps.Keys(others)) {
				if !under(p, mod) {
					continue
				}
				listed = true
				if only := others[mod]; only.tests && !f.test {
					found = append(found, tr.at(pos, "%s is for tests", mod))
				} else if len(only.by) > 0 && !slices.Contains(only.by, f.dir) {
					found = append(found, tr.at(pos, "%s is for %s", mod, strings.Join(only.by, ", ")))
				}
			}
			if !listed {
				found = append(found, tr.at(pos, "%s is not in the table of modules", p))
			}
		}
	}
	return found
}

// bytesAreWire finds other packages than stripe/wire that turn numbers into bytes.
// What stripe/ts reads and writes is not our wire.
func bytesAreWire(tr *tree) []string {
	var found []string
	for _, f := range tr.files {
		at := slices.Index(f.imports(), "encoding/binary")
		if at >= 0 && f.dir != "stripe/wire" && f.dir != "stripe/ts" {
			found = append(found, tr.at(f.ast.Imports[at].Pos(), "only stripe/wire imports encoding/binary"))
		}
	}
	return found
}

func TestArrowsPointDown(t *testing.T) { hold(t, arrowsPointDown) }
func TestOthersAreKept(t *testing.T)   { hold(t, othersAreKept) }
func TestBytesAreWire(t *testing.T)    { hold(t, bytesAreWire) }

// reach is all that a package may know by way of others.
func reach(table map[string][]string, from string, seen map[string]bool) map[string]bool {
	for _, next := range table[from] {
		if !seen[next] {
			seen[next] = true
			reach(table, next, seen)
		}
	}
	return seen
}

// tableFaults finds what a table of arrows must not allow, whatever the code does.
func tableFaults(table map[string][]string) (faults []string) {
	for _, dir := range slices.Sorted(maps.Keys(table)) {
		all := reach(table, dir, map[string]bool{})
		for _, known := range slices.Sorted(maps.Keys(all)) {
			_, row := table[known]
			switch {
			case !row:
				faults = append(faults, known+" has no row")
			case known == dir:
				faults = append(faults, dir+" may reach itself")
			case slices.Contains(pure, dir) && !slices.Contains(pure, known):
				faults = append(faults, dir+" is pure and may reach "+known)
			case dir == "overlay" && known == "fec", dir == "relay" && known == "stripe/ts":
				faults = append(faults, dir+" may reach "+known)
			}
		}
	}
	return faults
}

// TestArrowTable: the table itself has no circle, lets no pure package reach a
// shell, nor overlay what a shard contains, nor relay what a block contains; and
// every row is of a package that is there.
func TestArrowTable(t *testing.T) {
	for _, fault := range tableFaults(arrows) {
		t.Error(fault)
	}
	tr, err := project()
	if err != nil {
		t.Fatal(err)
	}
	for dir := range arrows {
		if len(tr.in(dir)) == 0 {
			t.Errorf("there is no package %s", dir)
		}
	}
}

func TestArrowTableCanFail(t *testing.T) {
	for want, change := range map[string][2]string{
		"overlay may reach fec":                    {"membership", "fec"},
		"relay may reach stripe/ts":                {"fec", "stripe/ts"},
		"stripe may reach itself":                  {"stripe/wire", "stripe"},
		"playout is pure and may reach relay/host": {"playout", "relay/host"},
		"stripe/media has no row":                  {"playout", "stripe/media"},
	} {
		table := maps.Clone(arrows)
		table[change[0]] = append(slices.Clone(table[change[0]]), change[1])
		if faults := tableFaults(table); !slices.Contains(faults, want) {
			t.Errorf("%s with %s: %q, want %q", change[0], change[1], faults, want)
		}
	}
}

func TestArrowsCanFail(t *testing.T) {
	from := func(path, pkg string, dirs ...string) map[string]string {
		src := "package " + pkg + "\n"
		for _, dir := range dirs {
			src += "import _ \"" + module + "/" + dir + "\"\n"
		}
		return one(path, src)
	}
	finds(t, arrowsPointDown, []breach{
		{"overlay learns of codes", from("overlay/a.go", "overlay", "stripe", "fec"), []string{"a.go:3: overlay must not know fec"}},
		{"relay parses media", from("relay/a.go", "relay", "stripe/ts"), []string{"relay must not know stripe/ts"}},
		{"upwards", from("stripe/a.go", "stripe", "relay", "stripe/wire"), []string{"stripe must not know relay"}},
		{"a core and its shell", from("playout/a.go", "playout", "playout/sink"), []string{"playout/sink"}},
		{"a command", from("relay/host/a.go", "host", "cmd/stripecast/clip"), []string{"imports a command"}},
		{"a command, from a test package", from("test/sim/a.go", "sim", "cmd/stripecast"), []string{"imports a command"}},
		{"doubles", from("relay/host/a.go", "host", "test/memnet"), []string{"a package for tests"}},
		{"doubles in a command", from("cmd/x/a.go", "main", "test/memnet"), []string{"a package for tests"}},
		{"somebody new", from("relay/disk/a.go", "disk"), []string{"relay/disk is not in the table"}},
		{"commands", from("cmd/x/a.go", "main", "cmd/x/y", "relay/host", "stripe"), nil},
		{"test packages", from("test/x/a.go", "x", "test/memnet", "relay/host"), nil},
		{"tests", from("overlay/a_test.go", "overlay", "test/memnet", "fec"), nil},
	})
	finds(t, othersAreKept, []breach{
		{"QUIC elsewhere", one("relay/a.go", "package relay\nimport \"github.com/quic-go/quic-go\""), []string{"quic-go is for relay/quicnet"}},
		{"a part of QUIC, in a test", one("test/x/a_test.go", "package x\nimport \"github.com/quic-go/quic-go/logging\""), []string{"quic-go is for relay/quicnet"}},
		{"gossip elsewhere", one("relay/host/a.go", "package host\nimport \"github.com/hashicorp/memberlist\""), []string{"for membership/gossip"}},
		{"codes elsewhere", one("relay/a.go", "package relay\nimport \"github.com/klauspost/reedsolomon\""), []string{"for fec"}},
		{"a parser in the program", one("stripe/ts/a.go", "package ts\nimport \"github.com/asticode/go-astits\""), []string{"is for tests"}},
		{"something new", one("relay/a.go", "package relay\nimport \"example.org/new\""), []string{"not in the table of modules"}},
		{"in their places", map[string]string{
			"relay/quicnet/a.go":  "package quicnet\nimport \"github.com/quic-go/quic-go\"",
			"stripe/ts/a_test.go": "package ts\nimport (\n\"fmt\"\n\"github.com/asticode/go-astits\"\n\"" + module + "/stripe\"\n)",
		}, nil},
	})
	finds(t, bytesAreWire, []breach{
		{"bytes of one's own", one("relay/a.go", "package relay\nimport \"encoding/binary\""), []string{"only stripe/wire"}},
		{"in a test", one("relay/a_test.go", "package relay\nimport b \"encoding/binary\""), []string{"only stripe/wire"}},
		{"in their places", map[string]string{
			"stripe/wire/a.go": "package wire\nimport \"encoding/binary\"",
			"stripe/ts/a.go":   "package ts\nimport \"encoding/binary\"",
			"stripe/a.go":      "package stripe\nimport \"encoding/hex\"",
		}, nil},
	})
}
