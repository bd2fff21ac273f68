//go:build linux

package netns

import (
	"errors"
	"fmt"
	"math"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// roleEnv makes this binary one end of a test of the network itself.
const roleEnv = "STRIPECAST_NETNS_ROLE"

// payload is how long the packets are that try the network, in bytes.
const payload = 1000

func play(role string, args []string) int {
	var err error
	switch role {
	case "send":
		err = send(args[0], args[1])
	case "count":
		err = count(args[0])
	default:
		err = fmt.Errorf("no role is called %q", role)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// send sends so many packets, ten a millisecond.
func send(addr, packets string) error {
	n, err := strconv.Atoi(packets)
	if err != nil {
		return err
	}
	c, err := net.Dial("udp", addr)
	if err != nil {
		return err
	}
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for i := range n {
		if i%10 == 0 {
			<-tick.C
		}
		if _, err := c.Write(make([]byte, payload)); err != nil {
			return err
		}
	}
	return nil
}

// count counts packets until none comes for half a second, and prints how many
// there were and how many milliseconds they took.
func count(addr string) error {
	at, err := net.ResolveUDPAddr("udp", addr)
	if err != nil {
		return err
	}
	c, err := net.ListenUDP("udp", at)
	if err != nil {
		return err
	}
	c.SetReadBuffer(4 << 20)
	fmt.Println("ready")
	c.SetReadDeadline(time.Now().Add(10 * time.Second))
	var first, last time.Time
	for n, b := 0, make([]byte, 2*payload); ; n++ {
		if _, err := c.Read(b); err != nil {
			fmt.Println(n, last.Sub(first).Milliseconds())
			return nil
		}
		last = time.Now()
		if n == 0 {
			first = last
		}
		c.SetReadDeadline(last.Add(500 * time.Millisecond))
	}
}

// through sends packets from one host to another, and says how many came and over
// what time.
func (n *network) through(from, to *host, packets int) (came int, took time.Duration) {
	n.t.Helper()
	self, err := os.Executable()
	if err != nil {
		n.t.Fatal(err)
	}
	addr := to.ip + ":7000"
	counter := exec.Command("ip", "netns", "exec", to.name, self, addr)
	counter.Env = append(os.Environ(), roleEnv+"=count")
	out, err := counter.StdoutPipe()
	if err != nil {
		n.t.Fatal(err)
	}
	if err := counter.Start(); err != nil {
		n.t.Fatal(err)
	}
	defer counter.Wait()
	var said string
	if _, err := fmt.Fscan(out, &said); err != nil {
		n.t.Fatal(err)
	}
	sender := exec.Command("ip", "netns", "exec", from.name, self, addr, strconv.Itoa(packets))
	sender.Env = append(os.Environ(), roleEnv+"=send")
	if b, err := sender.CombinedOutput(); err != nil {
		n.t.Fatalf("%v: %s", err, b)
	}
	var ms int64
	if _, err := fmt.Fscan(out, &came, &ms); err != nil {
		n.t.Fatal(err)
	}
	return came, time.Duration(ms) * time.Millisecond
}

// TestNetwork: the network forwards all, loses what it is told to and in that
// direction alone, holds a rate, and leads nowhere else.
func TestNetwork(t *testing.T) {
	need(t)
	n := newNetwork(t, "a", "b")
	a, b := n.hosts[0], n.hosts[1]
	const packets = 2000
	exactly := func(what string, from, to *host, want, within int) {
		t.Helper()
		if came, _ := n.through(from, to, packets); math.Abs(float64(came-want)) > float64(within) {
			t.Errorf("%s: %d of %d packets came, want %d ± %d", what, came, packets, want, within)
		}
	}
	exactly("nothing is wrong", a, b, packets, 0)
	n.lose(a, up, 10)
	exactly("10 % loss", a, b, packets*9/10, 70) // five standard deviations
	exactly("the other way", b, a, packets, 0)
	n.heal()
	n.lose(b, down, 50)
	exactly("50 % loss", a, b, packets/2, 112)
	n.heal()
	exactly("healed", a, b, packets, 0)

	const limit = 4e6 // bits/s; what is sent is twenty times as fast
	n.limit(a, limit)
	came, took := n.through(a, b, packets)
	const overhead = 14 + 20 + 8
	got := float64(came-1) * (payload + overhead) * 8 / took.Seconds()
	if math.Abs(got/limit-1) > 0.1 || came == packets {
		t.Errorf("%d of %d packets came at %.2f Mbit/s, the limit is %.2f", came, packets, got/1e6, limit/1e6)
	}
	t.Logf("a limit of %.2f Mbit/s lets through %.2f", limit/1e6, got/1e6)

	interfaces, err := net.Interfaces()
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range interfaces {
		if i.Name != "lo" && !strings.HasPrefix(i.Name, "port") && i.Flags&net.FlagUp != 0 {
			t.Errorf("a link leads out: %s", i.Name)
		}
	}
	if _, err := net.Dial("udp", "192.0.2.1:9"); !errors.Is(err, syscall.ENETUNREACH) {
		t.Errorf("the world outside: %v, want %v", err, syscall.ENETUNREACH)
	}
}
