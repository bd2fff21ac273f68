//go:build unix

package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"image"
	"image/draw"
	"image/png"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

var pagePictures = flag.String("page-pictures", "", "draw the page of a bigger pool into this folder, as TestPage sees it, and end")

// browser is one tab of Chromium, and what it complains of.
type browser struct {
	t   testing.TB
	ctx context.Context

	mu       sync.Mutex // guards what follows
	messages []string
}

// startBrowser starts Chromium, with nothing of anybody's. It ends with the test.
func startBrowser(t testing.TB) *browser {
	t.Helper()
	allocator, end := chromedp.NewExecAllocator(t.Context(),
		chromedp.ExecPath("chromium"), chromedp.Headless, chromedp.NoSandbox, chromedp.DisableGPU, chromedp.NoFirstRun,
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-background-networking", true),
		chromedp.Flag("disable-component-update", true), chromedp.Flag("disable-sync", true),
		chromedp.Flag("force-color-profile", "srgb"), chromedp.UserDataDir(t.TempDir()))
	t.Cleanup(end)
	ctx, endTab := chromedp.NewContext(allocator)
	t.Cleanup(endTab)
	b := &browser{t: t, ctx: ctx}
	b.do(chromedp.EmulateViewport(1100, 800), focused)
	go b.listen(chromedp.Console(ctx))
	return b
}

// listen keeps what the page says on its console.
func (b *browser) listen(console iter.Seq2[chromedp.ConsoleMessage, error]) {
	for m, err := range console {
		if err != nil {
			return
		}
		b.mu.Lock()
		b.messages = append(b.messages, m.String()+" ("+m.URL+")")
		b.mu.Unlock()
	}
}

// mustBeSilent wants nothing to have been said on the console.
func (b *browser) mustBeSilent() {
	b.t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, m := range b.messages {
		b.t.Errorf("on the console: %s", m)
	}
}

func (b *browser) do(steps ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	if err := chromedp.Do(b.ctx, steps...); err != nil {
		b.t.Fatal(err)
	}
}

// eval is what an expression of JavaScript comes to in the page.
func eval[T any](b *browser, expression string) T {
	b.t.Helper()
	v, err := chromedp.Run(b.ctx, chromedp.Evaluate[T](expression))
	if err != nil {
		b.t.Fatalf("%s: %v", expression, err)
	}
	return v
}

// becomes waits until an expression is true.
func (b *browser) becomes(within time.Duration, what, expression string) {
	b.t.Helper()
	if !poll(within, func() bool { return eval[bool](b, expression) }) {
		b.t.Fatalf("not within %v: %s (%s)\n%s", within, what, load(), eval[string](b, "document.body.innerText"))
	}
}

// plays wants the picture to move: its clock, and what is shown. It is one of those
// players that play it.
func (b *browser) plays(players ...string) {
	b.t.Helper()
	b.becomes(patience, "the picture begins to move", `document.getElementById("video").currentTime > 0`)
	pictures := func() float64 {
		return eval[float64](b, `document.getElementById("video").getVideoPlaybackQuality().totalVideoFrames`)
	}
	time, shown := eval[float64](b, `document.getElementById("video").currentTime`), pictures()
	b.becomes(patience, "its clock goes on by a second", fmt.Sprintf(`document.getElementById("video").currentTime > %f`, time+1))
	if n := pictures() - shown; n < 2 {
		b.t.Errorf("in a second %v pictures were shown (%s)", n, load())
	}
	if got := eval[string](b, `document.getElementById("video").dataset.player`); !slices.Contains(players, got) {
		b.t.Errorf("it plays by %q, want one of %q", got, players)
	}
}

// focused makes the page believe that somebody looks at it.
func focused(ctx context.Context, t *chromedp.Target) (none chromedp.Void, err error) {
	_, err = cdp.Call(ctx, t, emulation.SetFocusEmulationEnabled, emulation.SetFocusEmulationEnabledParams{Enabled: true})
	return none, err
}

// scheme makes the page light or dark.
func scheme(name string) chromedp.Action[chromedp.Void] {
	return chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
			Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: name}},
		})
		return err
	})
}

// forest is what these tests read of /api/forest.
type forest struct {
	Node  string
	Root  string
	Live  int `json:"live_stripes"`
	Spare int `json:"spare_stripes"`
	K, M  int

	Parents []struct{ Node string }
	Source  struct {
		Relays, Viewers, Thin int
		Egress                float64
	}
}

func (n *node) forest(t testing.TB) (f forest) {
	t.Helper()
	b, err := get(n.url + "api/forest")
	if err == nil {
		err = json.Unmarshal(b, &f)
	}
	if err != nil {
		t.Fatalf("%s: forest: %v", n.name, err)
	}
	return f
}

// pagePool is a source, relays and a viewer that plays.
func pagePool(t *testing.T, file string, relays int, layout string) (source, viewer *node, all []*node) {
	t.Helper()
	source, link := startSource(t, options{}, file, "--loop", "--name", "evening show", "--layout", layout, "--block", "200ms", "--upload", "40M", "--buffer", "0")
	all = startRelays(t, relays, link, "--buffer", "0")
	carrying(t, all...)
	viewer = startViewer(t, "viewer", link, "--buffer", "0")
	playing(t, viewer)
	return source, viewer, all
}

// parentAmong is a relay that feeds the viewer, once one does.
func parentAmong(t *testing.T, viewer *node, relays []*node) *node {
	t.Helper()
	names := map[string]*node{}
	for _, r := range relays {
		names[r.forest(t).Node] = r
	}
	var found *node
	eventually(t, patience, "a relay feeds the viewer", func() bool {
		for _, p := range viewer.forest(t).Parents {
			if r := names[p.Node]; r != nil {
				found = r
				return true
			}
		}
		return false
	})
	return found
}

// TestPage: in Chromium the page plays the stream, by our player and by the browser's;
// shows a parent that is killed and who comes instead; fits a phone; and complains of
// nothing.
func TestPage(t *testing.T) {
	need(t, "chromium")
	if *pagePictures != "" {
		drawPage(t)
		return
	}
	source, viewer, relays := pagePool(t, writeFile(t, "clip.ts", record(t, 0, clipTime)), 4, "6+3")
	b := startBrowser(t)
	began := time.Now()
	b.do(chromedp.Navigate(viewer.url + "?player=ours"))
	b.plays("ours")
	b.becomes(patience, "nine stripes, and beads", `document.querySelectorAll("#strip i").length === 9 && document.querySelectorAll("#picture .bead").length > 0`)
	t.Logf("our player: %v", time.Since(began).Round(100*time.Millisecond))

	victim := parentAmong(t, viewer, relays)
	killParent(t, b, viewer, victim)
	fitsPhone(t, b)
	walksByKeys(t, b)
	b.plays("ours")
	if others := eval[[]string](b, `performance.getEntriesByType("resource").map((e) => e.name).filter((n) => !n.startsWith(location.origin) && !n.startsWith("data:") && !n.startsWith("blob:"))`); len(others) > 0 {
		t.Errorf("it asks others: %q", others)
	}

	b.do(chromedp.Navigate(viewer.url))
	b.plays("native", "ours") // a browser that says it can may find that it cannot

	relay := relays[slices.IndexFunc(relays, func(r *node) bool { return r != victim })]
	b.do(chromedp.Navigate(relay.url))
	b.becomes(patience, "a relay's page has its parents, and no picture", `document.querySelectorAll("#parents tr").length > 0 && !document.getElementById("video")`)
	b.do(chromedp.Navigate(source.url))
	b.becomes(patience, "the source's page says what it sends and which stripe is thin",
		`/\d×|\d ×/.test(document.getElementById("rootTiles").innerText) && /thinnest/.test(document.getElementById("thin").innerText)`)
	b.becomes(patience, "it draws its children", `document.querySelectorAll("#picture .bead.child").length > 0 && document.querySelectorAll("#chart .post").length === 9`)
	if f := source.forest(t).Source; f.Relays == 0 || f.Viewers != 1 || f.Thin < 0 || f.Thin > 8 || f.Egress < 1 {
		t.Errorf("the source knows %+v", f)
	}
	fitsPhone(t, b)
	b.mustBeSilent()
	t.Logf("all: %v (%s)", time.Since(began).Round(100*time.Millisecond), load())
}

// killParent kills a relay that feeds the viewer, and wants the page to show it.
func killParent(t *testing.T, b *browser, viewer, victim *node) {
	t.Helper()
	name := victim.forest(t).Node
	bead := fmt.Sprintf(`document.querySelector('#picture .bead[data-key="%s"]')`, name)
	b.becomes(patience, "the parent has a bead", bead+` !== null`)
	began := time.Now()
	victim.signal(t, syscall.SIGKILL)
	b.becomes(patience, "the parent is shown as lost", fmt.Sprintf(`["dead", "gone"].includes(%s?.dataset.state)`, bead))
	shown := time.Since(began)
	b.becomes(patience, "it is said that it fell silent", fmt.Sprintf(`document.getElementById("log").innerText.includes("%s fell silent")`, name))
	b.becomes(patience, "it is gone, and every stripe has another parent", fmt.Sprintf(
		`!%s && !document.querySelector('#parents [data-node="%s"]') && !document.querySelector("#strip .dead")`, bead, name))
	if f := viewer.forest(t); slices.ContainsFunc(f.Parents, func(p struct{ Node string }) bool { return p.Node == name }) || f.Spare < 0 {
		t.Errorf("%+v", f)
	}
	t.Logf("killed: shown after %v, replaced and gone after %v", shown.Round(100*time.Millisecond), time.Since(began).Round(100*time.Millisecond))
}

// fitsPhone wants nothing to be wider than a phone.
func fitsPhone(t *testing.T, b *browser) {
	t.Helper()
	b.do(chromedp.EmulateViewport(360, 740))
	defer b.do(chromedp.EmulateViewport(1100, 800))
	b.becomes(patience, "the picture has the phone's width", `document.querySelector("#picture svg").viewBox.baseVal.width <= 360`)
	if w := eval[int](b, `document.documentElement.scrollWidth`); w > 360 {
		t.Errorf("on a phone of 360 px it is %d wide", w)
	}
}

// walksByKeys wants the beads to be reached by keys: one stop, then arrows.
func walksByKeys(t *testing.T, b *browser) {
	t.Helper()
	stops := eval[int](b, `document.querySelectorAll('#picture .bead[tabindex="0"]').length`)
	if stops != 1 {
		t.Errorf("the picture has %d stops for the Tab key", stops)
	}
	at := `document.activeElement.getAttribute("aria-label")`
	first := eval[string](b, `document.querySelector('#picture .bead[tabindex="0"]').focus(); `+at)
	if detail := eval[string](b, `document.getElementById("detail").textContent`); detail != first {
		t.Errorf("the bead %q is told as %q", first, detail)
	}
	if eval[int](b, `document.querySelectorAll("#picture .bead").length`) < 2 {
		return
	}
	b.do(chromedp.KeyEvent(kb.ArrowDown))
	if second := eval[string](b, at); second == first || !strings.Contains(second, "stripe") {
		t.Errorf("after an arrow from %q: %q", first, second)
	}
}

// drawPage draws what the README shows, and what to look at before it does.
func drawPage(t *testing.T) {
	need(t, "ffmpeg")
	// What a PNG can be small of.
	film := ffmpeg(t, "film.ts", words("-f lavfi -i gradients=size=640x360:rate=25:duration=8:c0=0x0b3d4a:c1=0x2f8f83:n=2:speed=0.02:seed=7 "+
		"-c:v libx264 -preset veryfast -pix_fmt yuv420p -g 25 -bf 0 -b:v 800k -f mpegts")...)
	source, viewer, relays := pagePool(t, film, 8, "16+4")
	b := startBrowser(t)
	b.do(chromedp.Navigate(viewer.url))
	b.plays("native", "ours")
	victim := parentAmong(t, viewer, relays)
	name := victim.forest(t).Node
	victim.signal(t, syscall.SIGKILL)
	b.becomes(patience, "the parent is gone", fmt.Sprintf(`document.querySelector('.bead[data-key="%s"]')?.dataset.state === "gone"`, name))
	shot := func(file, colours string, width, height int64) {
		b.do(chromedp.EmulateViewport(width, height), scheme(colours))
		b.becomes(patience, "it has found its width", fmt.Sprintf(
			`document.querySelector("#picture svg").viewBox.baseVal.width <= %d && !document.getAnimations().some((a) => a instanceof CSSTransition)`, width))
		picture, err := chromedp.Run(b.ctx, chromedp.CaptureScreenshot())
		if width < 600 {
			picture, err = chromedp.Run(b.ctx, chromedp.FullScreenshot(100))
		}
		if err != nil {
			t.Fatal(err)
		}
		small := smaller(t, picture)
		if err := os.WriteFile(filepath.Join(*pagePictures, file), small, 0o644); err != nil {
			t.Fatal(err)
		}
		t.Logf("%s: %d kB", file, len(small)/1000)
	}
	shot("page.png", "light", 1100, 850)
	shot("page-dark.png", "dark", 1100, 1080)
	shot("page-phone.png", "light", 360, 740)
	b.do(chromedp.Navigate(source.url))
	b.becomes(patience, "it draws its children", `document.querySelectorAll("#picture .bead.child").length > 0`)
	shot("page-source.png", "light", 1100, 830)
	b.mustBeSilent()
}

// smaller is a PNG of fewer colours, written with more care.
func smaller(t *testing.T, picture []byte) []byte {
	t.Helper()
	from, err := png.Decode(bytes.NewReader(picture))
	if err != nil {
		t.Fatal(err)
	}
	to := image.NewNRGBA(from.Bounds())
	draw.Draw(to, to.Bounds(), from, from.Bounds().Min, draw.Src)
	for i, c := range to.Pix {
		to.Pix[i] = uint8(min(255, (int(c)+2)/4*4))
	}
	var out bytes.Buffer
	if err := (&png.Encoder{CompressionLevel: png.BestCompression}).Encode(&out, to); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}
