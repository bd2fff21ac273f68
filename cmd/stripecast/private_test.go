package main

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/stripecast/stripecast/playout/httpd"
	"github.com/stripecast/stripecast/relay/host"
	"github.com/stripecast/stripecast/stripe"
)

// TestLinkKeyIsKept: links stay good over a restart, and only their owner reads the file.
func TestLinkKeyIsKept(t *testing.T) {
	path := filepath.Join(t.TempDir(), "key")
	if wasPrivate(path) {
		t.Error("private before there was a key")
	}
	first, made, err := linkKey(path)
	if err != nil || !made || first.IsZero() || !wasPrivate(path) {
		t.Fatal(made, err)
	}
	again, made, err := linkKey(path)
	if err != nil || made || again != first {
		t.Error("the second time it is another", made, err)
	}
	st, err := os.Stat(path + linkKeyEnd)
	if err != nil {
		t.Fatal(err)
	}
	if runtime.GOOS != "windows" && st.Mode().Perm() != 0o600 {
		t.Errorf("mode %v", st.Mode())
	}
	other, _, err := linkKey(filepath.Join(t.TempDir(), "key"))
	if err != nil || other == first {
		t.Error("two streams have one key", err)
	}
}

// TestKeyIsNotSaid: whatever a link with a key is given for by mistake, standard error does
// not repeat the key, as text or as JSON.
func TestKeyIsNotSaid(t *testing.T) {
	id := stripe.IDOf(host.NewKey())
	link := stripe.Link{ID: id, Key: stripe.LinkKey{7, 8, 9}, Hosts: []string{"127.0.0.1:9"}, Name: "film"}.String()
	key := stripe.LinkKey{7, 8, 9}.Text()
	t.Setenv("XDG_CONFIG_HOME", t.TempDir())
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	missing := filepath.Join(t.TempDir(), "none")
	shown := 0
	for _, args := range [][]string{
		{link}, {"list", link}, {"list", "--join", link}, {"source", link}, {"source", missing, "--name", "a\n" + link}, {"source", missing, link},
		{"relay", "--join", link}, {"relay", "--new-pool", "--allow", link}, {"relay", "--new-pool", "--allow", id.String() + "." + key},
		{"view", link, link}, {"view", "x" + link}, {"view", strings.TrimPrefix(link, stripe.LinkScheme)}, {"view", strings.Split(link, "@")[0]},
		{"view", link, "--delay", link}, {"view", "--config", link}, {"view", strings.Replace(link, "@", "a@", 1)},
		{"key", "show", link}, {"drill", link + "%zz"}, {"status", link}, {"view", link, "--player", link}, {"view", link, "--output", "udp://" + link},
	} {
		for _, format := range []string{"text", "json"} {
			code, out, errs := call(t, append(args, "-v", "--log-format", format)...)
			if code == 0 || errs == "" {
				t.Errorf("%q: %d, %s", args, code, errs)
			}
			if strings.Contains(strings.ToLower(out+errs), key[:20]) {
				t.Errorf("%q says\n%s%s", args, out, errs)
			}
			if strings.Contains(errs, ".KEY@") {
				shown++
			}
		}
	}
	if shown == 0 {
		t.Error("no mistake repeats the link: this test shows nothing")
	}
}

// TestUnlock: a link that opens the stream, or does not, or need not.
func TestUnlock(t *testing.T) {
	key := stripe.LinkKey{1}
	open := stripe.Info{Stream: stripe.ID{1}, Epoch: 3}
	shut := open
	shut.Lock = stripe.NewLock(key, shut.Stream, shut.Epoch, [16]byte{2})
	for _, c := range []struct {
		info stripe.Info
		key  stripe.LinkKey
		want error
		says string
	}{
		{open, stripe.LinkKey{}, nil, ""}, {open, key, nil, "warning: the link has a key, but the stream is not private: anyone can watch it\n"},
		{shut, key, nil, ""}, {shut, stripe.LinkKey{}, stripe.ErrNoKey, ""}, {shut, stripe.LinkKey{2}, stripe.ErrWrongKey, ""},
	} {
		var said bytes.Buffer
		err := (&console{err: &said}).unlock(c.info, stripe.Link{ID: c.info.Stream, Key: c.key})
		if !errors.Is(err, c.want) || c.want == nil && err != nil || said.String() != c.says {
			t.Errorf("private %v, key %v: %v, %q", c.info.Private(), !c.key.IsZero(), err, &said)
		}
	}
}

// TestEngineKeepsKeys: who asks without the key, or with another, is not given what was opened
// with it; no list names a private stream, and none the key with which one was asked for that is
// open at the moment.
func TestEngineKeepsKeys(t *testing.T) {
	e := newEngine(1)
	o, _ := e.opened(t, 1)
	o.link.Key = stripe.LinkKey{1}
	if got, err := e.find(o.link); err != nil || got != o {
		t.Errorf("with the key: %v", err)
	}
	for _, key := range []stripe.LinkKey{{}, {2}} {
		link := o.link
		link.Key = key
		if _, err := e.find(link); !errors.Is(err, httpd.ErrBusy) { // it would be another
			t.Errorf("with key %v it is found, or %v", key, err)
		}
	}
	link := stripe.Link{ID: stripe.ID{5}, Key: stripe.LinkKey{1}, Hosts: []string{"h:1"}}
	e.learn(&opening{link: link, name: "private", private: true})
	e.learn(&opening{link: stripe.Link{ID: stripe.ID{6}, Key: stripe.LinkKey{1}, Hosts: []string{"h:1"}}, name: "open"})
	if all := e.channels(); len(all) != 1 || all[0].Name != "open" || strings.Contains(all[0].Path, stripe.LinkKey{1}.Text()) {
		t.Errorf("%+v", all)
	}
}
