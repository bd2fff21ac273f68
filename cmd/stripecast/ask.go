package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/stripecast/stripecast/playout/httpd"
	"github.com/stripecast/stripecast/stripe"
)

const (
	askPatience = 3 * time.Second
	maxAnswer   = 8 << 20 // bytes
)

func newStatus(c *console) *cobra.Command {
	asJSON := false
	cmd := &cobra.Command{
		Use:   "status [HOST:PORT…]",
		Short: "Ask what runs on this machine how it goes",
		Long: "Ask participants how it goes: those of this user that run on this machine, or\n" +
			"those whose pages are at HOST:PORT, as --http gave it to them.",
		Example: "  stripecast status\n" +
			"  stripecast status 127.0.0.1:7080 --json",
		RunE: func(cmd *cobra.Command, args []string) error {
			return runStatus(cmd.Context(), c, args, asJSON, "http://"+httpd.DefaultAddr+"/")
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print what /api/status says, a line for each")
	return cmd
}

// runStatus asks whom args name; or all who left a note; or, if nobody did, whoever has
// the usual page.
func runStatus(ctx context.Context, c *console, args []string, asJSON bool, usual string) error {
	ask := tellForest
	if asJSON {
		ask = tellJSON
	}
	if len(args) > 0 {
		for _, at := range args {
			base, err := pageAt(at)
			if err == nil {
				err = ask(ctx, c.out, base)
			}
			if err != nil {
				return fail(err, "give HOST:PORT of a page, as the participant said it when it began")
			}
		}
		return nil
	}
	told := false
	for _, n := range readNotes() {
		switch err := ask(ctx, c.out, n.url); {
		case err == nil:
			told = true
		case errors.Is(err, errNobodyThere):
			_ = os.Remove(n.file) // it was killed
		default:
			c.say("%s: %v", n.url, err)
		}
	}
	if told {
		return nil
	}
	if ask(ctx, c.out, usual) == nil {
		return nil
	}
	return fail(errors.New("no participant of this user runs here"), "start one, or say where its page is: stripecast status HOST:PORT")
}

// pageAt is the page's URL for what somebody types: host:port, or a URL.
func pageAt(at string) (string, error) {
	at = strings.TrimSuffix(strings.TrimPrefix(at, "http://"), "/")
	if _, port, err := net.SplitHostPort(at); err != nil || !isPort(port) {
		return "", fmt.Errorf("%q is not host:port", at)
	}
	return "http://" + at + "/", nil
}

// errNobodyThere means that nothing listens.
var errNobodyThere = errors.New("nobody answers there")

// fetchAnswer gets what a participant says.
func fetchAnswer(ctx context.Context, url string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, askPatience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	req.Close = true
	resp, err := (&http.Transport{}).RoundTrip(req) // no proxy: it runs here
	if err != nil {
		var failed *net.OpError
		if errors.As(err, &failed) && failed.Op == "dial" {
			return nil, fmt.Errorf("%w: %v", errNobodyThere, failed.Err)
		}
		return nil, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	switch {
	case err != nil:
		return nil, err
	case len(b) > maxAnswer:
		return nil, errors.New("the answer is too long")
	case resp.StatusCode != http.StatusOK:
		return nil, fmt.Errorf("it answers %s", resp.Status)
	}
	return b, nil
}

func tellJSON(ctx context.Context, w io.Writer, base string) error {
	b, err := fetchAnswer(ctx, base+"api/status")
	if err != nil {
		return err
	}
	var line bytes.Buffer
	if err := json.Compact(&line, b); err != nil {
		return fmt.Errorf("what answers is no stripecast: %w", err)
	}
	line.WriteByte('\n')
	_, err = w.Write(line.Bytes())
	return err
}

func tellForest(ctx context.Context, w io.Writer, base string) error {
	b, err := fetchAnswer(ctx, base+"api/forest")
	if err != nil {
		return err
	}
	var f forestStatus
	if err := json.Unmarshal(b, &f); err != nil || f.Role == "" {
		return errors.New("what answers is no stripecast")
	}
	_, err = io.WriteString(w, forestWords(f, base))
	return err
}

// forestWords is a participant for people, in a few lines.
func forestWords(f forestStatus, base string) string {
	var b strings.Builder
	say := func(format string, a ...any) { b.WriteString(stripe.Printable(fmt.Sprintf(format, a...)) + "\n") }
	say("%s %s  %s", f.Role, f.Node, base)
	if f.Stream == "" {
		say("  carries nothing yet")
		return b.String()
	}
	over := ""
	if f.Ended {
		over = ", over"
	}
	say("  %s: %s of %s, %d+%d%s", f.Name, f.Media, rate(float64(f.Rate)), f.K, f.M, over)
	homes, children := 0, 0
	for _, s := range f.Stripes {
		children += s.Children
		if s.Home {
			homes++
		}
	}
	switch f.Role {
	case "source":
		r := f.Source
		say("  sends %s = %.2f × the stream to %s, %s so far", rate(r.Out), r.Egress, many(r.Children, "child", "children"), many(int(f.Played), "block"))
		say("  %s sharing and %s known, up to %s away", many(r.Viewers, "viewer"), many(r.Relays, "relay"), many(r.Depth, "hop"))
		if r.Thin >= 0 && r.Thin < len(r.Branches) {
			t := r.Branches[r.Thin]
			say("  stripe %d is the thinnest: %s free, %s", r.Thin, many(t.Free, "slot"), many(t.Relays, "relay"))
		}
	default:
		say("  spare %d  live %d of %d  from %s", f.Spare, f.Live, len(f.Stripes), many(len(f.Parents), "parent"))
		if f.Role == "view" {
			say("  delay %.1f s  played %d  skipped %d", f.Delay, f.Played, f.Skipped)
		}
		say("  in %s  out %s  shared %.2f  %s in %s, room for %d", rate(f.In), rate(f.Out), f.Shared, many(children, "child", "children"), many(homes, "home stripe"), f.Slots)
		for _, p := range f.Parents {
			if p.Slow {
				say("  %s is late: %.2f s behind, in %s", p.Node, p.Late, many(len(p.Stripes), "stripe"))
			}
		}
	}
	if f.Problem != "" {
		say("  warning: %s", f.Problem)
	}
	return b.String()
}
