//go:build linux

package netns

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// text collects what a process writes.
type text struct {
	mu sync.Mutex // guards b
	b  bytes.Buffer
}

func (x *text) Write(p []byte) (int, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.b.Write(p)
}

func (x *text) String() string {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.b.String()
}

// process is the program in one host's namespace.
type process struct {
	*host
	cmd    *exec.Cmd
	said   text // standard error
	exited chan struct{}
}

// start starts the program on a host. It is killed when the test ends.
func start(t testing.TB, h *host, stdin io.Reader, stdout io.Writer, args ...string) *process {
	t.Helper()
	home := t.TempDir()
	// ip becomes the program: the process that is killed is not a parent of it.
	args = append([]string{"netns", "exec", h.name, os.Getenv(bin)}, args...)
	p := &process{host: h, cmd: exec.Command("ip", args...), exited: make(chan struct{})}
	p.cmd.Stdin, p.cmd.Stdout, p.cmd.Stderr = stdin, stdout, &p.said
	p.cmd.Env = append(os.Environ(), "HOME="+home, "XDG_CONFIG_HOME="+filepath.Join(home, "config"), "XDG_CACHE_HOME="+filepath.Join(home, "cache"))
	p.cmd.WaitDelay = time.Second
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(p.exited)
		p.cmd.Wait()
	}()
	t.Cleanup(func() {
		if !p.running() && p.cmd.ProcessState.ExitCode() >= 0 {
			said := p.said.String()
			t.Errorf("%s ended by itself (%v): …%s", p.name, p.cmd.ProcessState, said[max(0, len(said)-600):])
		}
		p.kill()
		<-p.exited
	})
	return p
}

func (p *process) kill() { p.cmd.Process.Signal(syscall.SIGKILL) }

func (p *process) running() bool {
	select {
	case <-p.exited:
		return false
	default:
		return true
	}
}

// says waits for a match in what a process writes.
func says(t testing.TB, p *process, from *text, pattern string) string {
	t.Helper()
	re := regexp.MustCompile(pattern)
	var m []string
	ok := poll(patience, func() bool {
		m = re.FindStringSubmatch(from.String())
		return m != nil || !p.running()
	})
	if !ok || m == nil {
		t.Fatalf("%s did not write %q within %v (%s)", p.name, pattern, patience, load())
	}
	return m[1]
}

// patience is how long anything may take that should take a moment. The machine
// may be busy.
const patience = 20 * time.Second

// poll asks until ok, or within is over.
func poll(within time.Duration, ok func() bool) bool {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	deadline := time.Now().Add(within)
	for !ok() {
		if time.Now().After(deadline) {
			return false
		}
		<-tick.C
	}
	return true
}

// pass lets time go by.
func pass(d time.Duration) {
	late := time.NewTimer(d)
	defer late.Stop()
	<-late.C
}

// load is how busy the machine is: what to look at first when something is late.
func load() string {
	b, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "load unknown"
	}
	return fmt.Sprintf("load %s", strings.Fields(string(b))[0])
}

// cores is how many the machine has.
func cores() float64 { return float64(runtime.NumCPU()) }

// spent is the CPU time of all processes of the sandbox, in seconds.
func spent(t testing.TB) float64 {
	t.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		t.Fatal(err)
	}
	const perSecond = 100 // ticks, on every Linux that Go runs on
	ticks := 0
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			continue // it has ended
		}
		_, after, _ := strings.Cut(string(b), ") ") // the name may hold spaces
		fields := strings.Fields(after)
		for _, i := range []int{11, 12, 13, 14} { // its own and the kernel's for it; the same of those that it waited for
			n := 0
			fmt.Sscan(fields[i], &n)
			ticks += n
		}
	}
	return float64(ticks) / perSecond
}

// busy is the CPU time that the machine has spent so far, by all, and what it
// could have spent, in ticks.
func busy(t testing.TB) (spent, could int) {
	t.Helper()
	b, err := os.ReadFile("/proc/stat")
	if err != nil {
		t.Fatal(err)
	}
	line, _, _ := strings.Cut(string(b), "\n")
	for i, f := range strings.Fields(line)[1:9] { // guests are counted in user
		n := 0
		fmt.Sscan(f, &n)
		could += n
		if i != 3 && i != 4 { // idle, waiting for a disk
			spent += n
		}
	}
	return spent, could
}
