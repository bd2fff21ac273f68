// Package m3u reads M3U lists: the playlists of HLS (RFC 8216) as far as a reader of
// MPEG-TS segments needs them, and plain lists of files.
//
// It is pure. The libraries there are were either no longer kept or a whole HLS stack,
// for what is one page of code.
package m3u

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// List is what a list says.
type List struct {
	// HLS means that a tag of HLS was there; otherwise it is a plain list.
	HLS bool
	// Variants are the playlists that a master playlist offers, in its order.
	Variants []Variant
	// Pieces are what is to be played, in order.
	Pieces []Piece
	// First is the number of the first piece.
	First uint64
	// Target is the longest a piece may be; 0 if the list does not say.
	Target time.Duration
	// End means that nothing will be added.
	End bool
}

// Variant is one playlist of several that show the same.
type Variant struct {
	URI       string
	Bandwidth uint64 // bits a second, as it says
	// Apart means that its sound comes in a playlist of its own.
	Apart bool
}

// Piece is a segment of a stream, or a file of a plain list.
type Piece struct {
	URI   string
	Title string
	// Broken means that it does not continue the piece before.
	Broken bool
	// Unfit says why its bytes are no whole MPEG-TS segment; "" if they may be.
	Unfit string
}

// ErrList is wrapped by every refusal of a list.
var ErrList = errors.New("bad playlist")

// Parse reads a list. An unknown tag is a comment.
func Parse(b []byte) (List, error) {
	if len(b) > MaxList {
		return List{}, fmt.Errorf("%w: more than %d bytes", ErrList, MaxList)
	}
	if !utf8.Valid(b) {
		return List{}, fmt.Errorf("%w: it is no UTF-8 text", ErrList)
	}
	p := parser{}
	text := strings.TrimPrefix(string(b), "\ufeff")
	for line := range strings.Lines(text) {
		if err := p.line(strings.TrimSpace(line)); err != nil {
			return List{}, fmt.Errorf("%w: %v", ErrList, err)
		}
		if len(p.list.Variants)+len(p.list.Pieces) > MaxEntries {
			return List{}, fmt.Errorf("%w: more than %d entries", ErrList, MaxEntries)
		}
	}
	for i, group := range p.groups { // a group may stand behind its variants
		p.list.Variants[i].Apart = p.apart[group]
	}
	return p.list, nil
}

// parser is what the lines so far say of the next URI.
type parser struct {
	list    List
	variant *Variant
	next    Piece
	key     string // why what follows is unfit, until another key
	init    string // the same, until another initialisation
	group   string // of variant: where its sound is
	groups  []string
	apart   map[string]bool // groups whose sound is in a playlist of its own
}

func (p *parser) line(line string) error {
	switch {
	case line == "":
		return nil
	case line[0] != '#':
		p.uri(line)
		return nil
	}
	name, value, _ := strings.Cut(line, ":")
	if strings.HasPrefix(name, "#EXT-X-") {
		p.list.HLS = true
	}
	switch name {
	case "#EXTINF":
		_, p.next.Title, _ = strings.Cut(value, ",")
		p.next.Title = strings.TrimSpace(p.next.Title)
	case "#EXT-X-TARGETDURATION":
		n, err := strconv.ParseUint(value, 10, 32)
		if p.list.Target = time.Duration(n) * time.Second; err != nil || p.list.Target > MaxTarget {
			return fmt.Errorf("a target duration of %q", value)
		}
	case "#EXT-X-MEDIA-SEQUENCE":
		n, err := strconv.ParseUint(value, 10, 63)
		if p.list.First = n; err != nil {
			return fmt.Errorf("a media sequence of %q", value)
		}
	case "#EXT-X-ENDLIST":
		p.list.End = true
	case "#EXT-X-DISCONTINUITY":
		p.next.Broken = true
	case "#EXT-X-BYTERANGE":
		p.next.Unfit = "it is a part of a file"
	case "#EXT-X-MAP":
		p.init = "it is fragmented MP4"
	case "#EXT-X-KEY":
		p.key = "it is encrypted"
		if attributes(value)["METHOD"] == "NONE" {
			p.key = ""
		}
	case "#EXT-X-MEDIA":
		if a := attributes(value); a["TYPE"] == "AUDIO" && a["URI"] != "" {
			if p.apart == nil {
				p.apart = map[string]bool{}
			}
			p.apart[a["GROUP-ID"]] = true
		}
	case "#EXT-X-STREAM-INF":
		a := attributes(value)
		bandwidth, err := strconv.ParseUint(a["BANDWIDTH"], 10, 63)
		if err != nil {
			return fmt.Errorf("a bandwidth of %q", a["BANDWIDTH"])
		}
		p.variant, p.group = &Variant{Bandwidth: bandwidth}, a["AUDIO"]
	}
	return nil
}

func (p *parser) uri(uri string) {
	if p.variant != nil {
		p.variant.URI = uri
		p.list.Variants, p.groups = append(p.list.Variants, *p.variant), append(p.groups, p.group)
		p.variant = nil
		return
	}
	p.next.URI = uri
	for _, why := range []string{p.init, p.key} {
		if why != "" {
			p.next.Unfit = why
		}
	}
	p.list.Pieces = append(p.list.Pieces, p.next)
	p.next = Piece{}
}

// attributes reads NAME=value,NAME="a value", … (RFC 8216, 4.2). What is no such pair
// ends it.
func attributes(s string) map[string]string {
	all := map[string]string{}
	for s != "" {
		name, rest, ok := strings.Cut(s, "=")
		if !ok {
			break
		}
		var value string
		if quoted, found := strings.CutPrefix(rest, `"`); found {
			value, rest, ok = strings.Cut(quoted, `"`)
			if rest = strings.TrimPrefix(rest, ","); !ok {
				break
			}
		} else {
			value, rest, _ = strings.Cut(rest, ",")
		}
		all[strings.TrimSpace(name)] = value
		s = rest
	}
	return all
}

// Best is the variant of the greatest bandwidth that brings its own sound; false if
// there is none.
func (l List) Best() (best Variant, ok bool) {
	for _, v := range l.Variants {
		if !v.Apart && (!ok || v.Bandwidth > best.Bandwidth) {
			best, ok = v, true
		}
	}
	return best, ok
}
