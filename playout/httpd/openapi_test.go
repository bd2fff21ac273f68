package httpd

import (
	"context"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"mime"
	"net/http"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"

	"github.com/stripecast/stripecast/stripe"
)

// described is what openapi.yaml says of paths: the media types of each answer.
type described map[string]map[string][]string

// description reads it.
func description(t *testing.T) described {
	t.Helper()
	type response struct {
		Ref     string `yaml:"$ref"`
		Content map[string]any
	}
	var doc struct {
		OpenAPI string
		Paths   map[string]map[string]struct {
			OperationID string `yaml:"operationId"`
			Summary     string
			Responses   map[string]response
		}
		Components struct{ Responses map[string]response }
	}
	if err := yaml.Unmarshal([]byte(openAPI), &doc); err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(doc.OpenAPI, "3.1.") || len(doc.Paths) < 10 {
		t.Fatalf("version %s with %d paths", doc.OpenAPI, len(doc.Paths))
	}
	all, ids := described{}, map[string]bool{}
	for path, item := range doc.Paths {
		op, ok := item["get"]
		if !ok || len(item) != 1 || op.Summary == "" || op.OperationID == "" || ids[op.OperationID] {
			t.Errorf("%s: %v", path, item)
		}
		ids[op.OperationID] = true
		all[path] = map[string][]string{}
		for code, r := range op.Responses {
			if name, ok := strings.CutPrefix(r.Ref, "#/components/responses/"); ok {
				r = doc.Components.Responses[name]
			}
			if len(r.Content) == 0 {
				t.Errorf("%s, %s: there is nothing in it", path, code)
			}
			for kind := range r.Content {
				all[path][code] = append(all[path][code], kind)
			}
		}
	}
	return all
}

// paths is every constant of this package that is called path…, or Path….
func paths(t *testing.T) (values []string) {
	t.Helper()
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(f, func(n ast.Node) bool {
			if spec, ok := n.(*ast.ValueSpec); ok && strings.HasPrefix(strings.ToLower(spec.Names[0].Name), "path") && len(spec.Values) == 1 {
				if lit, ok := spec.Values[0].(*ast.BasicLit); ok {
					value, _ := strconv.Unquote(lit.Value)
					values = append(values, value)
				}
			}
			return true
		})
	}
	return values
}

// TestEveryPathIsDescribed: and every path that is described is one of ours.
func TestEveryPathIsDescribed(t *testing.T) {
	all, ours := description(t), paths(t)
	if len(ours) < 8 {
		t.Fatalf("only %d paths were found: %q", len(ours), ours)
	}
	is := func(path, constant string) bool { // it stands for itself, or for what lies below it
		if constant != pathPage {
			constant = strings.TrimSuffix(constant, "/")
		}
		rest, ok := strings.CutPrefix(path, constant)
		return ok && (rest == "" || constant != pathPage && (rest[0] == '.' || rest[0] == '/'))
	}
	for _, constant := range ours {
		found := false
		for path := range all {
			found = found || is(path, constant)
		}
		if !found {
			t.Errorf("openapi.yaml does not describe %s", constant)
		}
	}
	for path := range all {
		if path != "/{name}.{medium}" && !slices.ContainsFunc(ours, func(c string) bool { return is(path, c) }) {
			t.Errorf("openapi.yaml describes %s, which is no path of ours", path)
		}
	}
}

// notes asks for a path, and notes the answer.
type notes func(path, at, accept, ranges string, more ...string)

// noteLive asks for live HLS.
func noteLive(t *testing.T, note notes, relay, empty, gone *Server) {
	t.Helper()
	plays := func(f Format) *Server {
		b := NewBroadcaster()
		s := serve(t, func(c *Config) { c.Stream = b })
		b.Begin(f)
		newLoop(t).push(b, 60)
		return s
	}
	live, other := plays(Format{Media: stripe.MediaTS}), plays(Format{Media: stripe.MediaOpaque})
	for _, name := range []string{"index.m3u8", "stream.m3u8"} {
		for _, s := range []*Server{live, other, empty, relay} {
			note("/live/"+name, s.URL()+"live/"+name, "", "")
		}
		note("/live/"+name, live.URL()+"live/"+name+"?_HLS_msn=x", "", "")
	}
	note("/live/index.m3u8", gone.URL()+"live/index.m3u8", "", "")
	for _, name := range []string{"0.mp4", "0.m4s", "0.0.m4s", "77.m4s"} {
		note("/live/{piece}", live.URL()+"live/"+name, "", "")
	}
}

// noteLists asks for lists of what can be played, and an engine for streams.
func noteLists(t *testing.T, note notes, relay *Server) {
	t.Helper()
	b := NewBroadcaster()
	b.Begin(Format{Media: stripe.MediaTS})
	newLoop(t).push(b, 60)
	other := NewBroadcaster()
	other.Begin(Format{Media: stripe.MediaOpaque})
	newLoop(t).push(other, 60)
	engine := serve(t, func(c *Config) {
		c.Stream = b
		c.Channels = func() []Channel { return []Channel{{ID: "id", Name: "a", Path: PathStream}} }
		c.Play = func(_ context.Context, hosts, _ string) (*Part, error) {
			switch hosts {
			case "busy":
				return nil, ErrBusy
			case "bad":
				return nil, stripe.ErrLink
			case "gone":
				return nil, errors.New("nobody answers")
			}
			part := DefaultConfig()
			if part.Stream = b; hosts == "other" {
				part.Stream = other
			}
			return NewPart(t.Context(), hosts, part), nil
		}
	})
	for _, path := range []string{"/live.xspf", "/channels.m3u"} {
		note(path, relay.URL()+path[1:], "", "")
		note(path, engine.URL()+path[1:], "", "")
	}
	for _, at := range []string{"h/live/index.m3u8", "other/live/index.m3u8", "h/a.m3u8", "h/a.exe", "busy/a.ts", "bad/a.ts", "gone/a.ts"} {
		note("/play/{hosts}/{file}", engine.URL()+"play/"+at, "", "")
	}
	note("/play/{hosts}/{file}", engine.URL()+"play/h/a.ts", "", "", "Sec-Fetch-Site", "cross-site")
}

// TestAnswersAreDescribed: of every path each answer that is described is given, and
// no other.
func TestAnswersAreDescribed(t *testing.T) {
	no := func(context.Context) error { return errors.New("no") }
	metrics := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", r.Header.Get("Accept"))
		w.Write([]byte("x 1\n"))
	})
	relay := serve(t, func(c *Config) { c.Healthy, c.Ready, c.Metrics, c.Forest = no, no, metrics, c.Status })
	empty := serve(t, func(c *Config) { c.Stream, c.StartTimeout = NewBroadcaster(), time.Millisecond })
	f, _ := film(t, 8)
	f.Index(true)
	gone, _ := project(t, f)
	given := described{}
	note := func(path, at, accept, ranges string, more ...string) {
		t.Helper()
		resp, _ := get(t, "GET", at, append([]string{"Accept", accept, "Range", ranges}, more...)...)
		kind, _, err := mime.ParseMediaType(resp.Header.Get("Content-Type"))
		if err != nil {
			t.Errorf("%s: %v", at, err)
		}
		if given[path] == nil {
			given[path] = map[string][]string{}
		}
		code := fmt.Sprint(resp.StatusCode)
		given[path][code] = append(given[path][code], kind)
	}
	for _, path := range []string{"/", "/api/status", "/api/forest", "/api/openapi.yaml", "/healthz", "/readyz"} {
		note(path, relay.URL()+path[1:], "", "")
		note(path, gone.URL()+path[1:], "", "")
	}
	note("/metrics", relay.URL()+"metrics", "text/plain; version=0.0.4", "")
	note("/metrics", relay.URL()+"metrics", "application/openmetrics-text; version=1.0.0", "")
	note("/live.m3u", relay.URL()+"live.m3u", "", "")
	note("/live.m3u", gone.URL()+"live.m3u", "", "")
	for _, c := range [][2]string{{"/stream", "stream"}, {"/{name}.{medium}", "live.ts"}} {
		note(c[0], relay.URL()+c[1], "", "")
		note(c[0], empty.URL()+c[1], "", "")
		note(c[0], empty.URL()+c[1]+"?from=x", "", "")
	}
	noteLive(t, note, relay, empty, gone)
	noteLists(t, note, relay)
	recording := gone.URL() + "recording"
	_, list := get(t, "GET", recording+".m3u8")
	piece := gone.URL() + regexp.MustCompile(`recording/\d+\.ts`).FindString(string(list))
	for _, c := range [][3]string{
		{"/stream", gone.URL() + "stream"}, {"/{name}.{medium}", gone.URL() + "film.ts"},
		{"/recording.m3u8", recording + ".m3u8"}, {"/recording.m3u8", empty.URL() + "recording.m3u8"},
		{"/recording/{piece}.ts", piece}, {"/recording/{piece}.ts", recording + "/77.ts"},
		{"/recording.{medium}", recording + ".ts"}, {"/recording.{medium}", recording + ".mp3"},
		{"/recording.{medium}", recording + ".ts", "bytes=0-9"}, {"/recording.{medium}", recording + ".ts", "bytes=x"},
	} {
		note(c[0], c[1], "", c[2])
	}
	all := description(t)
	for path, answers := range all {
		for code, kinds := range answers {
			got := given[path][code]
			if len(got) == 0 {
				t.Errorf("%s does not answer %s", path, code)
			}
			for _, kind := range got {
				if !slices.Contains(kinds, kind) {
					t.Errorf("%s answers %s with %s, described is %q", path, code, kind, kinds)
				}
			}
		}
		for code := range given[path] {
			if len(answers[code]) == 0 {
				t.Errorf("%s answers %s, which is not described", path, code)
			}
		}
	}
	for m := stripe.MediaTS; m <= stripe.MediaOpaque; m++ {
		if !slices.Contains(all["/stream"]["200"], m.MIME()) {
			t.Errorf("a stream may be %s, which is not described", m.MIME())
		}
	}
}
