package stripe

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
)

func TestWeakKeys(t *testing.T) {
	for name, key := range weakKeys() {
		if err := CheckKey(key); !errors.Is(err, ErrWeakKey) {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := ParseID(ID(key).String()); !errors.Is(err, ErrWeakKey) {
			t.Errorf("%s as an ID: %v", name, err)
		}
		info := sampleInfo()
		info.Root = key
		if _, err := OpenInfo(info.Sign(keyOf(1))); !errors.Is(err, ErrInfo) {
			t.Errorf("%s as a root: %v", name, err)
		}
	}
	for seed := range byte(50) {
		if err := CheckKey(IDOf(keyOf(seed))); err != nil {
			t.Errorf("an honest key: %v", err)
		}
	}
}

func TestID(t *testing.T) {
	id := IDOf(keyOf(1))
	s := id.String()
	for _, in := range []string{s, strings.ToUpper(s)} {
		if got, err := ParseID(in); err != nil || got != id {
			t.Errorf("%q: %v %v", in, got, err)
		}
	}
	// One ID has one text: no line ends in it, no other letter at its end.
	last := strings.IndexByte("abcdefghijklmnopqrstuvwxyz234567", s[51])
	for _, bad := range []string{"", s[:51], s + "a", s[:20] + "\n" + s[20:], s + "\r\n", " " + s, s[:51] + "1",
		s[:51] + string("abcdefghijklmnopqrstuvwxyz234567"[last^1]), strings.Repeat("a", 5000)} {
		if _, err := ParseID(bad); err == nil {
			t.Errorf("%q is taken for an ID", short(bad))
		}
	}
}

func TestValidName(t *testing.T) {
	for _, bad := range []string{"a\nb", "\x1b[2J", "\x00", "\xff", strings.Repeat("a", MaxName+1), "\u202e"} {
		if ValidName(bad) {
			t.Errorf("%q is taken for a name", bad)
		}
		l := Link{ID: IDOf(keyOf(1)), Hosts: []string{"h:1"}, Name: bad}
		if _, err := ParseLink(l.String()); err == nil {
			t.Errorf("a link with the name %q is accepted", bad)
		}
	}
}

func TestLinkRoundTrip(t *testing.T) {
	id := IDOf(keyOf(1))
	for _, l := range []Link{
		{ID: id, Hosts: []string{"127.0.0.1:4000"}},
		{ID: id, Hosts: []string{"a.example.org:1", "192.0.2.7:65535"}, Name: "plain"},
		{ID: id, Hosts: []string{"[2001:db8::1]:4000", "[::1]:80", "[::]:1", "[1:2:3:4:5:6:7:8]:9"}, Name: "v6"},
		{ID: id, Hosts: []string{"[::ffff:192.0.2.1]:5"}, Name: "mapped"},
		{ID: id, Hosts: []string{"h_1:2"}, Name: "Ünïcödé / \"quotes\" $(rm -rf ~) `x` %41 & ;"},
		{ID: id, Hosts: []string{"h:1"}, Name: strings.Repeat("/", MaxName)},
		{ID: id, Key: LinkKey{1, 2, 3}, Hosts: []string{"h:1", "[::1]:80"}, Name: "private"},
		{ID: id, Hosts: slices.Repeat([]string{"h:1"}, MaxHosts), Name: "~!*'()"},
	} {
		s := l.String()
		got, err := ParseLink(s)
		if err != nil || got.ID != l.ID || got.Key != l.Key || got.Name != l.Name || !slices.Equal(got.Hosts, l.Hosts) {
			t.Errorf("%s: %+v %v", s, got, err)
		}
		if i := strings.IndexFunc(s, shellTouches); i >= 0 {
			t.Errorf("%s holds %q", s, s[i])
		}
	}
}

func shellTouches(r rune) bool {
	return !strings.ContainsRune("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789:/@,.-_%", r)
}

func TestParseLinkRefuses(t *testing.T) {
	id := IDOf(keyOf(1)).String()
	identity := ID(weakKeys()["identity"]).String()
	for _, s := range []string{
		"", "http://" + id + "@h:1/", "stripecast://", "stripecast://" + id, "stripecast://" + id + "@", "stripecast://" + id + "@/n",
		"stripecast://" + identity + "@h:1/n", "stripecast://" + id + "@h/n", "stripecast://" + id + "@h:0/n",
		"stripecast://" + id + "@h:65536/n", "stripecast://" + id + "@h:1,/n", "stripecast://" + id + "@:1/n",
		"stripecast://" + id + "@h$x:1/n", "stripecast://" + id + "@h:1/%zz", "stripecast://" + id + "@h:1/" + strings.Repeat("n", MaxName+1),
		"stripecast://" + id + "@" + strings.Repeat("h:1,", MaxHosts) + "h:1/n",
		"stripecast://" + id + "@" + strings.Repeat("h:1,", 1000) + "h:1/n",
		"stripecast://" + id + "@1--2--3" + ipv6Literal + ":1/n",
		// A zone is no part of an address that others are told, and may hold anything.
		"stripecast://" + id + "@[fe80::1%25eth0]:1/n", "stripecast://" + id + "@[fe80::1%eth0]:1/n",
		"stripecast://" + id + "@fe80--1%$(id)" + ipv6Literal + ":1/n",
		// What stands for a key is one, and not that of nobody.
		"stripecast://" + id + ".@h:1/n", "stripecast://" + id + ".abc@h:1/n", "stripecast://" + id + "." + strings.Repeat("a", 52) + "@h:1/n",
		"stripecast://" + id + "." + id + "." + id + "@h:1/n", "stripecast://" + id + "." + id[:51] + "b@h:1/n",
	} {
		if l, err := ParseLink(s); !errors.Is(err, ErrLink) {
			t.Errorf("%s: %+v %v", short(s), l, err)
		}
	}
}

func FuzzParseLink(f *testing.F) {
	id := IDOf(keyOf(1))
	for _, hosts := range [][]string{{"127.0.0.1:4000"}, {"[2001:db8::1]:4000", "h:1"}} {
		f.Add(Link{ID: id, Hosts: hosts, Name: "a / name"}.String())
	}
	f.Add(Link{ID: id, Key: LinkKey{7}, Hosts: []string{"h:1"}, Name: "private"}.String())
	f.Add("stripecast://" + id.String() + "@fe80--1%$(id)" + ipv6Literal + ":1/n")
	f.Fuzz(func(t *testing.T, s string) {
		l, err := ParseLink(s)
		if err != nil {
			return
		}
		if len(l.Hosts) == 0 || len(l.Hosts) > MaxHosts || len(l.Name) > MaxName || CheckKey(l.ID) != nil {
			t.Errorf("%q: %+v", s, l)
		}
		out := l.String()
		again, err := ParseLink(out)
		if err != nil || again.Key != l.Key || fmt.Sprint(again) != fmt.Sprint(l) || strings.ContainsFunc(out, shellTouches) {
			t.Errorf("%q → %q → %+v %v", s, out, again, err)
		}
	})
}
