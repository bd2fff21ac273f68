//go:build unix

package e2e

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stripecast/stripecast/membership"
	"github.com/stripecast/stripecast/relay/source"
	"github.com/stripecast/stripecast/relay/store"
	"github.com/stripecast/stripecast/stripe"
	"github.com/stripecast/stripecast/stripe/ts"
)

// reel is the disks of relays that carried a stream while it ran, each all stripes but
// some. It is told what the stream's source tells its participant.
type reel struct {
	t      *testing.T
	id     membership.NodeID
	key    store.Key
	stores []*store.Store
	blocks int
}

// ID implements source.Publisher.
func (r *reel) ID() membership.NodeID { return r.id }

// Announce implements source.Publisher.
func (r *reel) Announce(info []byte) {
	for _, s := range r.stores {
		s.PutInfo(r.key, info)
	}
}

// Publish implements source.Publisher.
func (r *reel) Publish(shards []*stripe.Shard) {
	r.blocks++
	for i, s := range r.stores {
		for _, sh := range shards {
			if sh.Index%len(r.stores) != i && !s.Put(sh) {
				r.t.Errorf("block %d, shard %d is not kept", sh.Number, sh.Index)
			}
		}
	}
}

// shoot has n relays record a film, each into a directory of its own: every third
// stripe, as it were, none of theirs. Source, cutter, code, signatures and stores are
// those of the program; what is not is the time, which takes none.
func shoot(t *testing.T, n int, film []byte) (id stripe.ID, dirs []string) {
	t.Helper()
	seed := sha256.Sum256([]byte(t.Name()))
	key := ed25519.NewKeyFromSeed(seed[:])
	id = stripe.IDOf(key)
	for range n {
		dirs = append(dirs, filepath.Join(t.TempDir(), "kept"))
	}
	began := time.Now()
	var length time.Duration
	r := &reel{id: membership.NodeIDOf(key), key: store.Key{Stream: id, Epoch: 1}}
	synctest.Test(t, func(t *testing.T) {
		r.t = t
		logger := slog.New(slog.DiscardHandler)
		for _, dir := range dirs {
			s, err := store.Open(dir, store.Config{Logger: logger})
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			r.stores = append(r.stores, s)
		}
		start := time.Now()
		src, err := source.Probe(t.Context(), source.Config{
			Key: key, Name: "film", Input: bytes.NewReader(film),
			Layout: stripe.DefaultLayout, BlockTime: 100 * time.Millisecond, Logger: logger,
		})
		if err != nil {
			t.Fatal(err)
		}
		src.SetEpoch(r.key.Epoch)
		if err := src.Run(t.Context(), r); err != nil {
			t.Fatal(err)
		}
		length = time.Since(start)
		t.Logf("%v at %d bit/s in blocks of %v, %v", length, src.Info().Rate, src.Info().BlockTime, src.Info().Layout)
	})
	t.Logf("%d relays recorded %d blocks of %v in %v", n, r.blocks, length, time.Since(began).Round(time.Millisecond))
	return id, dirs
}

// halfHour is how long the film is.
const halfHour = 30 * time.Minute

// filmed is half an hour at some 220 kbit/s that one can start every two seconds of, and
// no more to code than a clock needs.
func filmed(t *testing.T) []byte {
	seconds := int(halfHour.Seconds())
	return readFile(t, ffmpeg(t, "film.ts", join(
		words(fmt.Sprintf("-f lavfi -i testsrc2=size=320x180:rate=4:duration=%d", seconds)),
		words(fmt.Sprintf("-f lavfi -i sine=frequency=440:sample_rate=16000:duration=%d", seconds)),
		words("-c:v libx264 -preset ultrafast -pix_fmt yuv420p -g 8 -bf 0 -b:v 180k -minrate 180k -maxrate 180k -bufsize 180k"),
		words("-x264-params nal-hrd=cbr -c:a mp2 -b:a 32k -f mpegts"))...))
}

// TestHalfHour: three relays are started that have recorded half an hour some time ago,
// and none of them all of it. The source is not there. A viewer has players seek in it
// at once, and gives out every byte.
func TestHalfHour(t *testing.T) {
	t.Parallel()
	need(t, "ffmpeg", "mpv")
	film := filmed(t)
	id, dirs := shoot(t, 3, film)
	var at string
	for i, dir := range dirs {
		args := []string{"--record", dir, "--new-pool"}
		if i > 0 {
			args = []string{"--record", dir, "--join", at}
		}
		r := startRelay(t, fmt.Sprintf("relay %d", i+1), args...)
		at = r.says(t, `relaying on (127\.0\.0\.1:\d+)`, patience)[1]
	}
	viewer := startViewer(t, "viewer", "stripecast://"+id.String()+"@"+at+"/film", "--no-share")
	viewer.says(t, `the source is gone; playing all (30m|29m59s|30m1s)`, patience)
	viewer.ready(t)
	seekEverywhere(t, viewer, film)
	playFrom(t, viewer, halfHour*5/6)
	part := full(3*time.Minute, halfHour)
	if part == halfHour {
		seekable(t, viewer, 1000)
		checkRanges(t, viewer, film)
	}
	before := viewer.past(t).Blocks
	if before > 1000 {
		t.Errorf("%d blocks were read for some places of it", before)
	}

	path, least := "stream?from=-"+part.String(), int(float64(len(film))*part.Seconds()/halfHour.Seconds())*99/100
	if part == halfHour {
		path, least = "recording.ts", len(film)
	}
	began := time.Now()
	client := readHTTP(t, "HTTP client", viewer.url+path)
	client.mustEnd(t, 5*time.Minute)
	took := time.Since(began)
	t.Logf("%v of film were read in %v, %.0f times as fast as it plays; %d blocks before, %d after (%s)",
		part, took.Round(100*time.Millisecond), part.Seconds()/took.Seconds(), before, viewer.past(t).Blocks, load())
	mustEndAs(t, client.name, client.Bytes(), film, least)
	if p := viewer.past(t); p.Absent != 0 {
		t.Errorf("%+v", p)
	}
}

// playFrom has mpv and ffmpeg begin at a time of the recording, and play a little.
func playFrom(t *testing.T, viewer *node, at time.Duration) {
	t.Helper()
	began := time.Now()
	start := strconv.Itoa(int(at.Seconds()))
	mpv := launch(t, options{}, "mpv", "mpv", append(words(mpvCommand)[1:], "--start="+start, "--length=2", viewer.url+"live.m3u")...)
	advances(t, mpv, mpvPosition, 1)
	mpv.mustEnd(t, patience)
	first, err := strconv.ParseFloat(regexp.MustCompile(mpvPosition).FindStringSubmatch(mpv.out.String() + mpv.err.String())[1], 64)
	if away := first - at.Seconds(); err != nil || away < -3 || away > 3 {
		t.Errorf("mpv begins at %v s, %v", first, err)
	}
	t.Logf("mpv plays 2 s from %v on within %v (%s)", at, time.Since(began).Round(10*time.Millisecond), load())
	began = time.Now()
	decoder := launch(t, options{}, "ffmpeg", "ffmpeg", "-v", "error", "-nostdin",
		"-ss", start, "-i", viewer.url+"recording.m3u8", "-t", "4", "-f", "null", "-")
	decoder.mustEnd(t, patience)
	if decoder.err.Len() > 0 {
		t.Errorf("ffmpeg from %v: %s", at, tail(decoder.err.String(), 1000))
	}
	t.Logf("ffmpeg decodes 4 s from %v on within %v (%s)", at, time.Since(began).Round(10*time.Millisecond), load())
}

// seekEverywhere begins at some twenty places of a recording as a player that seeks
// does, each far from all before, and wants to be there within a second.
func seekEverywhere(t *testing.T, viewer *node, film []byte) {
	t.Helper()
	names := pieces(t, viewer)
	rnd := rand.New(rand.NewPCG(1, 1))
	var took []time.Duration
	for _, i := range rnd.Perm(len(names))[:20] {
		began := time.Now()
		first, err := beginning(t, viewer.url+names[i])
		took = append(took, time.Since(began).Round(time.Millisecond))
		for n := 0; n < 4 && !bytes.Contains(film, first); n++ { // tables
			first = first[min(len(first), ts.PacketLen):]
		}
		if err != nil || len(first) < ts.PacketLen {
			t.Errorf("piece %d begins with %d bytes of the film: %v", i, len(first), err)
		}
	}
	slices.Sort(took)
	t.Logf("%d seeks among %d pieces: median %v, worst %v; %v (%s)", len(took), len(names), took[len(took)/2], took[len(took)-1], took, load())
	if worst := took[len(took)-1]; worst > time.Second {
		t.Errorf("a seek took %v (%s)", worst, load())
	}
}

// beginning is the first that comes of a URL.
func beginning(t *testing.T, url string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s", resp.Status)
	}
	first := make([]byte, 8*ts.PacketLen)
	n, err := io.ReadFull(resp.Body, first)
	return first[:n], err
}
