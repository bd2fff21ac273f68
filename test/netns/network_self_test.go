//go:build linux

package netns

import (
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"
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

// settled is after how long what was sent is there or lost: a limited link holds
// packets for 100 ms.
const settled = 500 * time.Millisecond

// pause is a gap between packets in which nobody sent: a limit of 4 Mbit/s alone
// makes gaps of 2 ms.
const pause = 20 * time.Millisecond

// arrivals is what has come to a socket, and how fast.
type arrivals struct {
	packets int
	gaps    int           // of them followed another without a pause
	took    time.Duration // all gaps together
}

// count counts packets until its standard input ends, and what is on its way then.
// The kernel keeps them and says when each came: a busy machine may let this process
// wait.
func count(addr string) error {
	at, err := net.ResolveUDPAddr("udp", addr)
	if err != nil {
		return err
	}
	c, err := net.ListenUDP("udp", at)
	if err != nil {
		return err
	}
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	c.SetReadBuffer(4 << 20) // where the next may not
	if e := raw.Control(func(fd uintptr) {
		syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUFFORCE, 16<<20)
		err = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_TIMESTAMPNS, 1)
	}); e != nil || err != nil {
		return errors.Join(e, err)
	}
	fmt.Println("ready")
	go func() {
		io.Copy(io.Discard, os.Stdin)
		c.SetReadDeadline(time.Now().Add(settled))
	}()
	var a arrivals
	var last time.Time
	take := func(fd uintptr) {
		for {
			came, ok := receive(int(fd))
			if !ok {
				return
			}
			if gap := came.Sub(last); a.packets > 0 && gap <= pause {
				a.gaps++
				a.took += gap
			}
			a.packets++
			last = came
		}
	}
	raw.Read(func(fd uintptr) bool { take(fd); return false }) // until the deadline
	if err := raw.Control(take); err != nil {
		return err
	}
	fmt.Println(a.packets, a.gaps, a.took.Nanoseconds())
	return nil
}

// receive takes the next packet, if there is one, and says when it came.
func receive(fd int) (came time.Time, ok bool) {
	var b [2 * payload]byte
	var control [128]byte
	_, n, _, _, err := syscall.Recvmsg(fd, b[:], control[:], syscall.MSG_DONTWAIT)
	if err != nil {
		return time.Time{}, false
	}
	messages, err := syscall.ParseSocketControlMessage(control[:n])
	if err != nil || len(messages) != 1 || len(messages[0].Data) < int(unsafe.Sizeof(syscall.Timespec{})) {
		panic(fmt.Sprintf("a packet without its time: %v, %v", messages, err))
	}
	return time.Unix((*syscall.Timespec)(unsafe.Pointer(&messages[0].Data[0])).Unix()), true
}

// through sends packets from one host to another, and says what came.
func (n *network) through(from, to *host, packets int) (a arrivals) {
	n.t.Helper()
	self, err := os.Executable()
	if err != nil {
		n.t.Fatal(err)
	}
	addr := to.ip + ":7000"
	counter := exec.Command("ip", "netns", "exec", to.name, self, addr)
	counter.Env = append(os.Environ(), roleEnv+"=count")
	counter.Stderr = os.Stderr
	in, err := counter.StdinPipe()
	if err != nil {
		n.t.Fatal(err)
	}
	out, err := counter.StdoutPipe()
	if err != nil {
		n.t.Fatal(err)
	}
	if err := counter.Start(); err != nil {
		n.t.Fatal(err)
	}
	defer counter.Wait()
	defer in.Close()
	var said string
	if _, err := fmt.Fscan(out, &said); err != nil {
		n.t.Fatal(err)
	}
	sender := exec.Command("ip", "netns", "exec", from.name, self, addr, strconv.Itoa(packets))
	sender.Env = append(os.Environ(), roleEnv+"=send")
	if b, err := sender.CombinedOutput(); err != nil {
		n.t.Fatalf("%v: %s", err, b)
	}
	in.Close()
	if _, err := fmt.Fscan(out, &a.packets, &a.gaps, &a.took); err != nil {
		n.t.Fatal(err)
	}
	return a
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
		if came := n.through(from, to, packets).packets; math.Abs(float64(came-want)) > float64(within) {
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
	came := n.through(a, b, packets)
	const overhead = 14 + 20 + 8
	got := float64(came.gaps) * (payload + overhead) * 8 / came.took.Seconds()
	if math.Abs(got/limit-1) > 0.1 || came.packets == packets || came.gaps < 50 {
		t.Errorf("%d of %d packets came at %.2f Mbit/s, the limit is %.2f", came.packets, packets, got/1e6, limit/1e6)
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
