package vectors

import (
	"encoding/hex"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
)

// document reads PROTOCOL.md once: its fenced blocks by name, and its lines.
var document = sync.OnceValues(func() (map[string]string, error) {
	b, err := os.ReadFile("../../PROTOCOL.md")
	if err != nil {
		return nil, err
	}
	blocks, name := map[string]string{}, ""
	for _, line := range strings.Split(string(b), "\n") {
		switch info, fence := strings.CutPrefix(line, "```"); {
		case fence && name == "":
			if name = info; name == "" {
				name = "-"
			}
			blocks[name] = ""
		case fence:
			name = ""
		case name != "":
			blocks[name] += line + "\n"
		default:
			blocks[""] += line + "\n"
		}
	}
	return blocks, nil
})

// textOf is the block of the document that begins with "```text NAME".
func textOf(t *testing.T, name string) string { return block(t, "text "+name) }

func block(t *testing.T, name string) string {
	t.Helper()
	blocks, err := document()
	if err != nil {
		t.Fatal(err)
	}
	text, ok := blocks[name]
	if !ok {
		t.Fatalf("PROTOCOL.md has no block %q", name)
	}
	return text
}

// bytesOf is the block "```vector NAME": hexadecimal, anyhow spaced, where # begins
// a comment and <NAME> stands for another vector's bytes.
func bytesOf(t *testing.T, name string) []byte {
	t.Helper()
	var out []byte
	for _, line := range lines(block(t, "vector "+name)) {
		text, _, _ := strings.Cut(line, "#")
		for _, word := range strings.Fields(text) {
			if other, ok := strings.CutPrefix(word, "<"); ok {
				out = append(out, bytesOf(t, strings.TrimSuffix(other, ">"))...)
				continue
			}
			b, err := hex.DecodeString(word)
			if err != nil {
				t.Fatalf("vector %s: %q: %v", name, word, err)
			}
			out = append(out, b...)
		}
	}
	return out
}

// lines are the lines of a block that say something.
func lines(text string) []string {
	return slices.DeleteFunc(strings.Split(text, "\n"), func(line string) bool {
		return line == "" || strings.HasPrefix(line, "#")
	})
}
