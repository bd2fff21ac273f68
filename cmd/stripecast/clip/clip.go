// Package clip holds the few seconds of test picture and tone that the demo's
// source sends round and round. README.md says how they were made.
package clip

import (
	_ "embed"
	"strings"
)

//go:embed clip.ts
var clip string

// TS is the clip, an MPEG transport stream. Each call returns a copy.
func TS() []byte { return []byte(clip) }

// Reader reads the clip once.
func Reader() *strings.Reader { return strings.NewReader(clip) }
