package main

import (
	"bytes"
	"io"
	"os"
	"sync"
)

// isTerminal reports whether w is a terminal rather than a file or a pipe. The
// null device, a device too, is none.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	st, err := f.Stat()
	if err != nil || st.Mode()&os.ModeCharDevice == 0 {
		return false
	}
	null, err := os.Stat(os.DevNull)
	return err != nil || !os.SameFile(st, null)
}

// What a terminal is told. With wrapping off, a line that is longer than it is wide is
// cut off at its edge, and does not scroll.
const (
	eraseLine = "\r\x1b[K"
	wrapOff   = "\x1b[?7l"
	wrapOn    = "\x1b[?7h"
)

// calm is a terminal whose last line is rewritten, and whatever else is said goes above
// it. Many may write at once.
type calm struct {
	mu     sync.Mutex // guards what follows
	to     io.Writer
	line   string // that stands; empty: none
	midway bool   // what was written last has no end of line
}

// onTerminal makes w calm if it is a terminal that can be told things. No key of a link is
// written to it, whoever says it: Cobra and the system repeat what they were given.
func onTerminal(w io.Writer) io.Writer {
	if !isTerminal(w) || os.Getenv("TERM") == "dumb" {
		return discreet{w}
	}
	return &calm{to: discreet{w}}
}

// Write writes above the line.
func (c *calm) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var b []byte
	if c.line != "" && !c.midway {
		b = append(b, eraseLine...)
	}
	b = append(b, p...)
	if c.midway = !bytes.HasSuffix(p, []byte("\n")); c.line != "" && !c.midway {
		b = append(b, wrapOff+c.line+wrapOn...)
	}
	if _, err := c.to.Write(b); err != nil {
		return 0, err
	}
	return len(p), nil
}

// show rewrites the line.
func (c *calm) show(line string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if line == c.line || c.midway {
		return
	}
	c.line = line
	io.WriteString(c.to, eraseLine+wrapOff+line+wrapOn)
}

// end leaves the line as it stands.
func (c *calm) end() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.line != "" {
		io.WriteString(c.to, "\n")
	}
	c.line = ""
}
