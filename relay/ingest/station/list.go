package station

import (
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/stripecast/stripecast/relay/ingest"
	"github.com/stripecast/stripecast/relay/ingest/m3u"
)

// Item is one thing to play.
type Item struct {
	Where string // a file, or an http or https URL
	Title string
}

// ErrList is wrapped by every refusal of a list.
var ErrList = m3u.ErrList

// suffixes are of files in a directory that are played.
var suffixes = []string{
	".ts", ".mts", ".m2ts", ".mp3", ".aac", ".ogg", ".oga", ".opus", ".mkv", ".mka", ".webm", ".mp4", ".m4v", ".m4a", ".mov",
	".flv", ".avi", ".wav", ".flac", ".mpg", ".mpeg",
}

// List reads what is to be played: the media files of a directory, by name; or an M3U or
// plain list, or an RSS feed's enclosures, in the order in which they stand there, in a file
// or at an http or https URL. What a list on the web names must be on the web too.
func List(ctx context.Context, where string) ([]Item, error) {
	var items []Item
	var err error
	if isURL(where) {
		items, err = fetched(ctx, where)
	} else if st, serr := os.Stat(where); serr != nil {
		return nil, serr
	} else if st.IsDir() {
		items, err = directory(where)
	} else {
		items, err = file(where)
	}
	if err == nil && len(items) == 0 {
		err = fmt.Errorf("%w: there is nothing to play in %s", ErrList, where)
	}
	return items[:min(len(items), MaxItems)], err
}

func isURL(where string) bool {
	scheme, _, found := strings.Cut(where, "://")
	return found && (strings.EqualFold(scheme, "http") || strings.EqualFold(scheme, "https"))
}

func directory(dir string) ([]Item, error) {
	entries, err := os.ReadDir(dir) // by name
	if err != nil {
		return nil, err
	}
	var items []Item
	for _, e := range entries {
		name := e.Name()
		if !e.IsDir() && !strings.HasPrefix(name, ".") && slices.Contains(suffixes, strings.ToLower(filepath.Ext(name))) {
			items = append(items, Item{filepath.Join(dir, name), titleOf(name)})
		}
	}
	return items, nil
}

func file(name string) ([]Item, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := readAll(f)
	if err != nil {
		return nil, err
	}
	return parse(text, func(entry string) (string, error) {
		if isURL(entry) {
			return entry, nil
		}
		entry = filepath.FromSlash(strings.TrimPrefix(entry, "file://"))
		if !filepath.IsAbs(entry) {
			entry = filepath.Join(filepath.Dir(name), entry)
		}
		return entry, nil
	})
}

func fetched(ctx context.Context, address string) ([]Item, error) {
	base, err := url.Parse(address)
	if err != nil {
		return nil, err
	}
	body, err := ingest.Fetch(ctx, address)
	if err != nil {
		return nil, err
	}
	defer body.Close()
	text, err := readAll(body)
	if err != nil {
		return nil, err
	}
	return parse(text, func(entry string) (string, error) {
		u, err := base.Parse(entry)
		if err == nil && !isURL(u.String()) {
			err = fmt.Errorf("%s is not on the web", u.Redacted())
		}
		if err != nil {
			return "", err
		}
		return u.String(), nil
	})
}

func readAll(r io.Reader) ([]byte, error) {
	text, err := io.ReadAll(io.LimitReader(r, MaxList+1))
	if err == nil && len(text) > MaxList {
		err = fmt.Errorf("%w: more than %d bytes", ErrList, MaxList)
	}
	return text, err
}

// parse reads a feed or a list; resolve says where an entry leads.
func parse(text []byte, resolve func(string) (string, error)) ([]Item, error) {
	read := pieces
	if bytes.HasPrefix(bytes.TrimSpace(bytes.TrimPrefix(text, []byte("\ufeff"))), []byte("<")) {
		read = enclosures
	}
	items, err := read(text)
	if errors.Is(err, ErrList) {
		return nil, err
	} else if err != nil {
		return nil, fmt.Errorf("%w: %v", ErrList, err)
	}
	for i := range items {
		if items[i].Title == "" {
			items[i].Title = titleOf(items[i].Where)
		}
		if items[i].Where, err = resolve(items[i].Where); err != nil {
			return nil, fmt.Errorf("%w: %v", ErrList, err)
		}
	}
	return items, nil
}

func pieces(text []byte) ([]Item, error) {
	list, err := m3u.Parse(text)
	if err == nil && list.HLS {
		err = errors.New("it is an HLS playlist, which is one stream: name it as the input")
	}
	if err != nil {
		return nil, err
	}
	var items []Item
	for _, p := range list.Pieces {
		items = append(items, Item{p.URI, p.Title})
	}
	return items, nil
}

// enclosures reads the items of an RSS feed that have one.
func enclosures(text []byte) ([]Item, error) {
	var feed struct {
		Items []struct {
			Title     string `xml:"title"`
			Enclosure struct {
				URL string `xml:"url,attr"`
			} `xml:"enclosure"`
		} `xml:"channel>item"`
	}
	if err := xml.Unmarshal(text, &feed); err != nil {
		return nil, err
	}
	var items []Item
	for _, i := range feed.Items {
		if where := strings.TrimSpace(i.Enclosure.URL); where != "" {
			items = append(items, Item{where, strings.TrimSpace(i.Title)})
		}
	}
	return items, nil
}

// titleOf makes a title of a file's name.
func titleOf(where string) string {
	name := filepath.Base(filepath.FromSlash(where))
	if u, err := url.Parse(where); err == nil && u.Scheme != "" {
		name = filepath.Base(u.Path)
	}
	return strings.TrimSuffix(name, filepath.Ext(name))
}
