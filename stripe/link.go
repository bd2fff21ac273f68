package stripe

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Link is how people pass a stream on:
//
//	stripecast://ID@host:port[,host:port…]/name
//	stripecast://ID.KEY@host:port[,host:port…]/name	of a private stream
//
// It holds no character that a shell would touch; an IPv6 address is written in
// the ipv6-literal form (2001-db8--1.ipv6-literal.net), and read in brackets too.
type Link struct {
	ID    ID
	Key   LinkKey  // of a private stream; zero: none
	Hosts []string // host:port of pool members to ask first, 1 … MaxHosts
	Name  string   // for people; may be empty
}

// ErrLink is wrapped by every refusal of a link.
var ErrLink = errors.New("bad link")

// LinkScheme is how every link begins.
const LinkScheme = "stripecast://"

const ipv6Literal = ".ipv6-literal.net"

// ParseLink reads a link. It resolves and dials nothing. No error repeats what may be a key.
func ParseLink(s string) (Link, error) {
	refuse := func(format string, a ...any) (Link, error) {
		return Link{}, fmt.Errorf("%w: %w", ErrLink, fmt.Errorf(format, a...))
	}
	if len(s) > 4096 {
		return refuse("longer than 4096 bytes")
	}
	rest, ok := strings.CutPrefix(s, LinkScheme)
	if !ok {
		return refuse("%q does not start with %s", beginning(s), LinkScheme)
	}
	idPart, rest, ok := strings.Cut(rest, "@")
	if !ok {
		return refuse("%q has no @ between stream ID and hosts", beginning(s))
	}
	idPart, keyPart, hasKey := strings.Cut(idPart, ".")
	id, err := ParseID(idPart)
	if err != nil {
		return refuse("%w", err)
	}
	l := Link{ID: id}
	if hasKey {
		if l.Key, err = ParseLinkKey(keyPart); err != nil {
			return refuse("%w", err)
		}
	}
	hostPart, namePart, _ := strings.Cut(rest, "/")
	for _, h := range strings.Split(hostPart, ",") {
		addr, err := parseHost(h)
		if err != nil {
			return refuse("%w", err)
		}
		l.Hosts = append(l.Hosts, addr)
	}
	if len(l.Hosts) > MaxHosts {
		return refuse("%d hosts, at most %d", len(l.Hosts), MaxHosts)
	}
	name, err := url.PathUnescape(namePart)
	if err != nil || !ValidName(name) {
		return refuse("the name %q is malformed or longer than %d bytes", short(namePart), MaxName)
	}
	l.Name = name
	return l, nil
}

func parseHost(s string) (string, error) {
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		return "", fmt.Errorf("%q is not host:port", short(s))
	}
	if p, err := strconv.ParseUint(port, 10, 16); err != nil || p == 0 {
		return "", fmt.Errorf("%q has no port from 1 to 65535", short(s))
	}
	if lit, ok := strings.CutSuffix(host, ipv6Literal); ok {
		a, err := netip.ParseAddr(strings.ReplaceAll(lit, "-", ":"))
		if err != nil || !a.Is6() || a.Zone() != "" {
			return "", fmt.Errorf("%q is not an IPv6 address", short(host))
		}
		return net.JoinHostPort(a.String(), port), nil
	}
	if a, err := netip.ParseAddr(host); err == nil && a.Zone() == "" {
		return net.JoinHostPort(a.String(), port), nil
	}
	if host == "" || len(host) > 253 || strings.ContainsFunc(host, notPlain) {
		return "", fmt.Errorf("%q is not a host name or address", short(host))
	}
	return net.JoinHostPort(host, port), nil
}

func notPlain(r rune) bool {
	return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '.' || r == '_')
}

// ValidName reports whether s may name a stream: a text of at most MaxName bytes.
func ValidName(s string) bool { return ValidText(s, MaxName) }

// ValidText reports whether s is UTF-8 of at most limit bytes that a terminal shows as
// it is.
func ValidText(s string, limit int) bool {
	return len(s) <= limit && utf8.ValidString(s) && !strings.ContainsFunc(s, hidden)
}

func hidden(r rune) bool { return !unicode.IsGraphic(r) }

// FitText makes a valid text of at most limit bytes out of anything: what a terminal
// would not show is a space, and what is too long is cut behind a whole character.
func FitText(s string, limit int) string {
	s = strings.Map(func(r rune) rune {
		if hidden(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "\ufffd"))
	s = strings.Join(strings.Fields(s), " ")
	for len(s) > limit {
		_, n := utf8.DecodeLastRuneInString(s)
		s = s[:len(s)-n]
	}
	return strings.TrimSpace(s)
}

// Printable is any text without control characters, which a terminal would obey, and which
// would end a header, or a line of a list. What is no UTF-8 is U+FFFD.
func Printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return -1
		}
		return r
	}, strings.ToValidUTF8(s, "\ufffd"))
}

// Public is the link without its key: for those who carry the stream.
func (l Link) Public() Link {
	l.Key = LinkKey{}
	return l
}

// String is the link as ParseLink reads it, with its key if it has one.
func (l Link) String() string {
	hosts := make([]string, len(l.Hosts))
	for i, h := range l.Hosts {
		hosts[i] = h
		host, port, _ := net.SplitHostPort(h)
		if a, err := netip.ParseAddr(host); err == nil && a.Is6() {
			hosts[i] = strings.ReplaceAll(a.String(), ":", "-") + ipv6Literal + ":" + port
		}
	}
	id := l.ID.String()
	if !l.Key.IsZero() {
		id += "." + l.Key.Text()
	}
	return LinkScheme + id + "@" + strings.Join(hosts, ",") + "/" + escapeName(l.Name)
}

// escapeName is stricter than url.PathEscape: what is not unreserved (RFC 3986,
// 2.3) is escaped, so that no shell touches it.
func escapeName(s string) string {
	var b strings.Builder
	for i := range len(s) {
		c := s[i]
		if !notPlain(rune(c)) {
			b.WriteByte(c)
			continue
		}
		fmt.Fprintf(&b, "%%%02X", c)
	}
	return b.String()
}
