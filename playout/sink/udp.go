package sink

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// UDPScheme begins a path that means datagrams to a host or a multicast group.
const UDPScheme = "udp://"

// datagramLen is seven packets of MPEG-TS, which is what receivers expect and what a
// path of 1500 bytes carries whole.
const datagramLen = 7 * 188

// datagrams sends blocks in datagrams of datagramLen bytes, evenly over the time that a
// block takes to play: a receiver has room for little. Nobody says whether they arrive.
type datagrams struct {
	to   io.WriteCloser
	rest []byte // of the last block, less than a datagram
	// within is how long the next block may take.
	within time.Duration
}

// dialUDP opens udp://HOST:PORT. Datagrams to a multicast group stay in this network:
// their TTL is the system's, which is 1.
func dialUDP(path string) (*datagrams, error) {
	u, err := url.Parse(path)
	if err != nil {
		return nil, err
	}
	port, err := strconv.ParseUint(u.Port(), 10, 16)
	if err != nil || port == 0 || u.Hostname() == "" || u.Path != "" || u.RawQuery != "" || u.User != nil || u.Fragment != "" {
		return nil, fmt.Errorf("%s is not udp://HOST:PORT", path)
	}
	c, err := net.Dial("udp", u.Host)
	if err != nil {
		return nil, err
	}
	return &datagrams{to: c}, nil
}

// isUDP reports whether a path is not a file's.
func isUDP(path string) bool { return strings.HasPrefix(path, UDPScheme) }

// send sends a block and what goes before it. Of what cannot be sent, for
// want of a receiver or of a route, nothing is said: there may be one later.
func (d *datagrams) send(ctx context.Context, before, data []byte) error {
	d.rest = append(append(d.rest, before...), data...)
	began, count := time.Now(), len(d.rest)/datagramLen
	timer := time.NewTimer(0)
	defer timer.Stop()
	for i := range count {
		due := began.Add(d.within * time.Duration(i) / time.Duration(count))
		if wait := time.Until(due); wait > udpTick {
			timer.Reset(wait)
			select {
			case <-timer.C:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		d.to.Write(d.rest[i*datagramLen:][:datagramLen])
	}
	d.rest = append([]byte(nil), d.rest[count*datagramLen:]...)
	return ctx.Err()
}

// close sends what is left.
func (d *datagrams) close() error {
	if len(d.rest) > 0 {
		d.to.Write(d.rest)
	}
	return d.to.Close()
}

// span is how long a block plays that was closed so long after the one before it; one
// that is late, because others wait behind it, is sent in half of that.
func span(step time.Duration, behind bool) time.Duration {
	if step <= 0 || step > udpSpan {
		step = udpSpan / 10
	}
	if behind {
		return step / 2
	}
	return step * 9 / 10
}
