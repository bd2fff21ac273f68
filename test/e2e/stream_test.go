//go:build unix

package e2e

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"
)

// TestEveryByteArrives is the product: a live stream, relays, viewers of every
// kind, a relay that dies, and each viewer has what was sent from where it began
// to the end.
func TestEveryByteArrives(t *testing.T) {
	t.Parallel()
	const length = 20 * time.Second
	input := record(t, 0, length)
	source, link := startSource(t, options{stdin: pace(input, length)}, "--name", "e2e", "--upload", "30M")
	relays := startRelays(t, 8, link)
	carrying(t, relays...)

	file := func(n string) string { return filepath.Join(t.TempDir(), n) }
	out1, out2, out3 := file("1.ts"), file("2.ts"), file("3.ts")
	toFile := startViewer(t, "viewer to a file", link, "-o", out1)
	toStdout := startViewer(t, "viewer to stdout", link, "-o", "-")
	toHTTP := startViewer(t, "viewer on HTTP", link)
	selfish := startViewer(t, "viewer that shares nothing", link, "-o", out2, "--no-share")
	toBoth := startViewer(t, "viewer to a file and HTTP", link, "-o", out3)
	viewers := []*node{toFile, toStdout, toHTTP, selfish, toBoth}
	toHTTP.ready(t)
	toBoth.ready(t)
	playlist := toHTTP.status(t)
	clients := []*reader{
		readHTTP(t, "HTTP client 1", toHTTP.url+"stream"),
		readHTTP(t, "HTTP client 2", playlist.URLs[1]),
		readHTTP(t, "HTTP client 3", toBoth.url+"e2e.ts"),
	}
	playing(t, viewers...)

	keepPlaying(t, time.Second, viewers...)
	for _, n := range slices.Concat([]*node{source}, relays, viewers) {
		checkStatusFields(t, n)
	}
	checkRoles(t, link, source, relays, viewers)

	victim := busiest(t, relays)
	relays[victim].signal(t, syscall.SIGKILL)
	t.Logf("killed relay %d, %s", victim+1, load())
	keepPlaying(t, 5*time.Second, viewers...)

	source.mustEnd(t, length+patience)
	for _, c := range clients {
		c.mustEnd(t, patience)
		mustEndAs(t, c.name, c.Bytes(), input, len(input)/3)
	}
	for _, v := range viewers {
		v.mustEnd(t, patience)
		v.says(t, "the stream has ended", 0)
	}
	mustEndAs(t, toFile.name, readFile(t, out1), input, len(input)/3)
	mustEndAs(t, selfish.name, readFile(t, out2), input, len(input)/3)
	mustEndAs(t, toBoth.name, readFile(t, out3), input, len(input)/3)
	mustEndAs(t, toStdout.name, toStdout.out.Bytes(), input, len(input)/3)
	for i, r := range relays {
		if i != victim && !r.running() {
			t.Errorf("%s did not stay: %v", r.name, r.cmd.ProcessState)
		}
	}
}

func checkRoles(t *testing.T, link string, source *node, relays, viewers []*node) {
	t.Helper()
	id := source.status(t).Stream
	if !bytes.HasPrefix([]byte(link), []byte("stripecast://"+id+"@")) {
		t.Errorf("the source's stream is %q, its link %s", id, link)
	}
	check := func(role string, upload float64, nodes ...*node) {
		t.Helper()
		for _, n := range nodes {
			st := n.status(t)
			if st.Role != role || st.Stream != id || st.Layout != source.status(t).Layout || st.Media != "ts" || st.Upload != upload {
				t.Errorf("%s: role %s, stream %s, layout %s, media %s, upload %v", n.name, st.Role, st.Stream, st.Layout, st.Media, st.Upload)
			}
		}
	}
	check("source", 30e6, source)
	check("relay", 20e6, relays...)
	for _, v := range viewers {
		upload := 10e6
		if slices.Contains(v.cmd.Args, "--no-share") {
			upload = 0
		}
		check("view", upload, v)
		st := v.status(t)
		if st.Bytes.Payload == 0 || st.Bytes.In < st.Bytes.Payload || st.Delay < 1 || st.Delay > 3 || st.Spare < 0 {
			t.Errorf("%s: %+v, delay %v, spare %d (%s)", v.name, st.Bytes, st.Delay, st.Spare, load())
		}
	}
	if st := source.status(t); st.Bytes.Payload == 0 || st.Bytes.Out < st.Bytes.Payload || st.Blocks.Played == 0 {
		t.Errorf("source: %+v %+v", st.Bytes, st.Blocks)
	}
}

// TestSignals: Ctrl-C and SIGTERM end everything cleanly, and nobody else notices.
func TestSignals(t *testing.T) {
	t.Parallel()
	input := record(t, 0, time.Minute)
	file := writeFile(t, "clip.ts", record(t, 0, clipTime))
	source, link := startSource(t, options{}, file, "--loop", "--upload", "30M")
	relays := startRelays(t, 6, link)
	carrying(t, relays...)
	dir := t.TempDir()
	out := func(i int) string { return filepath.Join(dir, string(rune('a'+i))+".ts") }
	var viewers []*node
	for i, name := range []string{"viewer 1", "viewer 2", "viewer 3"} {
		viewers = append(viewers, startViewer(t, name, link, "-o", out(i)))
	}
	playing(t, viewers...)

	for _, s := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM} {
		i := busiest(t, relays)
		relays[i].signal(t, s)
		began := time.Now()
		relays[i].mustEnd(t, patience)
		t.Logf("a relay left %v after %v, %s", time.Since(began).Round(time.Millisecond), s, load())
		keepPlaying(t, 2*time.Second, viewers...)
	}
	viewers[0].signal(t, syscall.SIGINT)
	viewers[1].signal(t, syscall.SIGTERM)
	viewers[0].mustEnd(t, patience)
	viewers[1].mustEnd(t, patience)
	keepPlaying(t, time.Second, viewers[2])
	source.signal(t, syscall.SIGINT)
	source.mustEnd(t, patience)
	viewers[2].mustEnd(t, patience)
	viewers[2].says(t, "the stream has ended", 0)
	for i, v := range viewers {
		got := readFile(t, out(i))
		mustBePart(t, v.name, got, input, 188*1000)
		if !wholePackets(got) {
			t.Errorf("%s wrote %d bytes", v.name, len(got))
		}
	}
	for _, r := range relays {
		if r.running() {
			r.signal(t, syscall.SIGTERM)
			r.mustEnd(t, patience)
		}
	}

	file2 := writeFile(t, "again.ts", record(t, 0, clipTime))
	source, _ = startSource(t, options{}, file2, "--loop")
	source.signal(t, syscall.SIGTERM)
	source.mustEnd(t, patience)
}

// TestSourceRestart: the same key on the same port, after a crash. Viewers go on
// with the new run, and nothing of the old one comes after it.
func TestSourceRestart(t *testing.T) {
	t.Parallel()
	before, after := record(t, 0, 40*time.Second), record(t, time.Minute, 12*time.Second)
	listen := ownUDP(t)
	key := filepath.Join(t.TempDir(), "source.key")
	run := func(input []byte, over time.Duration) (*node, string) {
		return startSource(t, options{stdin: pace(input, over)}, "--key", key, "--listen", listen, "--upload", "30M")
	}
	source, link := run(before, 40*time.Second)
	relays := startRelays(t, 4, link)
	carrying(t, relays...)
	out := filepath.Join(t.TempDir(), "out.ts")
	toFile := startViewer(t, "viewer to a file", link, "-o", out)
	toHTTP := startViewer(t, "viewer on HTTP", link, "-o", "-")
	playing(t, toFile, toHTTP)
	client := readHTTP(t, "HTTP client", toHTTP.url+"stream")
	keepPlaying(t, 2*time.Second, toFile, toHTTP)
	epoch := source.status(t).Epoch

	source.signal(t, syscall.SIGKILL)
	source.exit(t, patience)
	crashed := time.Now()
	pass(3*time.Second, toFile.proc, toHTTP.proc)
	source, again := run(after, 12*time.Second)
	back := time.Now()
	if again != link {
		t.Errorf("the link became %s, it was %s", again, link)
	}
	if e := source.status(t).Epoch; e <= epoch {
		t.Errorf("epoch %d after %d", e, epoch)
	}
	played := toFile.status(t).Blocks.Played
	eventually(t, patience, "viewers play the new run", func() bool {
		st, err := toFile.look()
		return err == nil && st.Blocks.Played > played && st.Epoch > epoch
	})
	t.Logf("the source was gone for %v; the first block of the new run played %v after its link (%s)",
		back.Sub(crashed).Round(time.Millisecond), time.Since(back).Round(time.Millisecond), load())

	source.mustEnd(t, 12*time.Second+patience)
	toFile.mustEnd(t, patience)
	toHTTP.mustEnd(t, patience)
	client.mustEnd(t, patience)
	for _, o := range []struct {
		who string
		got []byte
	}{{toFile.name, readFile(t, out)}, {"standard output", toHTTP.out.Bytes()}, {client.name, client.Bytes()}} {
		mustBeTwoRuns(t, o.who, o.got, before, after)
	}
}

// mustBeTwoRuns wants a piece of the one, at most a few marker packets, and then
// what the other ends with.
func mustBeTwoRuns(t *testing.T, who string, got, before, after []byte) {
	t.Helper()
	const markers = 16 * 188
	// The new run begins with the longest end of got that is an end of after.
	same := 0
	for same < min(len(got), len(after)) && got[len(got)-1-same] == after[len(after)-1-same] {
		same++
	}
	same -= same % 188
	old := got[:len(got)-same]
	end := len(old)
	for end > 0 && len(old)-end <= markers && !bytes.Contains(before, old[:end]) {
		end -= 188
	}
	t.Logf("%s: %d bytes of the old run, %d of markers, %d of %d of the new (%s)", who, end, len(old)-end, same, len(after), load())
	if end <= 0 || len(old)-end > markers || same < len(after)/2 {
		t.Errorf("%s: not the old run and then the new", who)
	}
}

// TestFilePacedByItsClock: a file on standard input is not sent faster than it plays.
func TestFilePacedByItsClock(t *testing.T) {
	t.Parallel()
	const length = 5 * time.Second
	input := record(t, 0, length)
	f, err := os.Open(writeFile(t, "in.ts", input))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	source, link := startSource(t, options{stdin: f})
	began := time.Now()
	viewer := startViewer(t, "viewer", link, "-o", "-")
	playing(t, viewer)
	source.mustEnd(t, length+patience)
	took := time.Since(began)
	viewer.mustEnd(t, patience)
	mustEndAs(t, viewer.name, viewer.out.Bytes(), input, len(input)/3)
	t.Logf("%v of stream took %v", length, took.Round(time.Millisecond))
	if took < 4*time.Second {
		t.Errorf("%v of stream were sent in %v", length, took)
	}
}

// TestFirstByte measures how long a newcomer waits for its picture.
func TestFirstByte(t *testing.T) {
	const runs, bound = 10, 5 * time.Second
	file := writeFile(t, "clip.ts", record(t, 0, clipTime))
	source, link := startSource(t, options{}, file, "--loop", "--upload", "30M")
	relays := startRelays(t, 4, link)
	carrying(t, relays...)
	eventually(t, patience, "the stream has run for 5 s", func() bool { return source.status(t).played() > 5 })
	var took []time.Duration
	for range runs {
		v := startViewer(t, "newcomer", link, "-o", "-")
		eventually(t, patience, "first byte", func() bool { return v.out.Len() > 0 || !v.running() })
		if v.out.Len() == 0 {
			t.Fatalf("the newcomer ended: %v", v.cmd.ProcessState)
		}
		took = append(took, v.out.First().Sub(v.began))
		v.signal(t, syscall.SIGINT)
		v.mustEnd(t, patience)
	}
	slices.Sort(took)
	t.Logf("start to first byte, %d runs: p50 %v, max %v (%s)", runs,
		took[runs/2].Round(time.Millisecond), took[runs-1].Round(time.Millisecond), load())
	if took[runs-1] > bound {
		t.Errorf("a newcomer waited %v", took[runs-1])
	}
}

// TestReaderLeaves: a viewer ends with whoever reads its standard output, and
// nothing is lost to one that only reads slowly.
func TestReaderLeaves(t *testing.T) {
	t.Parallel()
	const length = 10 * time.Second
	input := record(t, 0, length)
	source, link := startSource(t, options{stdin: pace(input, length)})
	open := func(name string) (*proc, *os.File) {
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { r.Close() })
		p := stripecast(t, options{stdout: w}, name, "view", anyUDP, anyHTTP, link, "-o", "-")
		w.Close()
		return p, r
	}
	leaves, head := open("viewer whose reader leaves")
	slow, all := open("viewer whose reader is slow")
	if _, err := io.ReadFull(head, make([]byte, 1000)); err != nil {
		t.Fatal(err)
	}
	head.Close()
	leaves.mustEnd(t, patience)

	var got []byte
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for b := make([]byte, 32<<10); ; { // at most 2.6 Mbit/s, in bursts
		<-tick.C
		n, err := all.Read(b)
		got = append(got, b[:n]...)
		if err != nil {
			break
		}
	}
	source.mustEnd(t, patience)
	slow.mustEnd(t, patience)
	mustEndAs(t, slow.name, got, input, len(input)/3)
}

// TestPools: a relay without a link takes the stream up from the pool; a pool may
// be there before its stream.
func TestPools(t *testing.T) {
	t.Parallel()
	first := startRelay(t, "first relay", "--new-pool")
	first.ready(t)
	at := first.says(t, `--join (127\.0\.0\.1:\d+)`, patience)[1]
	second := startRelay(t, "second relay", "--join", silentUDP(t)+","+at) // the first of them is down
	second.ready(t)

	const length = 12 * time.Second
	input := record(t, 0, length)
	source, link := startSource(t, options{stdin: pace(input, length)}, "--join", at)
	id := source.status(t).Stream
	for _, r := range []*node{first, second} {
		eventually(t, patience, r.name+" takes the stream up", func() bool {
			st, err := r.look()
			return err == nil && st.Stream == id
		})
	}
	carrying(t, first, second)
	viewer := startViewer(t, "viewer", link, "-o", "-")
	playing(t, viewer)
	source.mustEnd(t, length+patience)
	viewer.mustEnd(t, patience)
	mustEndAs(t, viewer.name, viewer.out.Bytes(), input, len(input)/4)
}

// TestDemo is the first thing that anybody runs.
func TestDemo(t *testing.T) {
	home := t.TempDir()
	demo := stripecast(t, homeAt(home), "demo", "demo", "--duration", "12s", "--kill-every", "4s", "--http", "127.0.0.1:0")
	url := demo.says(t, `(http://127\.0\.0\.1:\d+/)stream in any player`, patience)[1]
	viewer := &node{demo, url}
	eventually(t, patience, "the first viewer plays", func() bool {
		st, err := viewer.look()
		return err == nil && st.Blocks.Played > 0
	})
	checkStatusFields(t, viewer)
	demo.mustEnd(t, 12*time.Second+2*patience)
	mustBeEmpty(t, home)
	m := demo.prints(t, `^played (\d+)  skipped (\d+)  rebuilt \d+  relays killed (\d+)  source upload ÷ stream rate (\d+\.\d+)\n$`, 0)
	t.Logf("%s(%s)", m[0], load())
	if m[1] == "0" || m[2] != "0" || m[3] < "2" || len(m[3]) != 1 {
		t.Errorf("played %s, skipped %s, killed %s", m[1], m[2], m[3])
	}
}

// TestDemoPlays: one command and there is a picture; the demo ends with its player.
func TestDemoPlays(t *testing.T) {
	t.Parallel()
	need(t, "ffprobe")
	demo := stripecast(t, homeAt(t.TempDir()), "demo", "demo", "--relays", "2", "--viewers", "1", "--kill-every", "0", "--http", "127.0.0.1:0",
		"--player", "ffprobe -v error -show_entries stream=codec_name")
	demo.says(t, `codec_name=h264`, patience)
	demo.mustEnd(t, patience)
	demo.prints(t, `^played \d+  skipped 0  `, 0)
}
