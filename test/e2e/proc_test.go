//go:build unix

package e2e

import (
	"bufio"
	"bytes"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// bin is the program under test.
var bin string

func TestMain(m *testing.M) {
	if os.Getenv(guardEnv) != "" {
		guard()
		return
	}
	os.Exit(testMain(m))
}

func testMain(m *testing.M) int {
	dir, err := os.MkdirTemp("", "stripecast-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	if bin = os.Getenv("STRIPECAST_BIN"); bin == "" {
		bin = filepath.Join(dir, "stripecast")
		build := exec.Command("go", "build", "-o", bin, "github.com/stripecast/stripecast/cmd/stripecast")
		if out, err := build.CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "go build: %v\n%s", err, out)
			return 1
		}
	}
	if err := startGuard(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	if err := together(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

// together lets more of the parallel tests run at a time than there are processors,
// unless -parallel says how many: they mostly wait for a stream's time to pass.
func together() error {
	flag.Parse()
	said := false
	flag.Visit(func(f *flag.Flag) { said = said || f.Name == "test.parallel" })
	if said {
		return nil
	}
	return flag.Set("test.parallel", strconv.Itoa(max(4, runtime.NumCPU())))
}

// A test binary that times out panics and cleans nothing up. So a second process
// of it is told of every process that is started and that ended; when the pipe to
// it closes, it kills those that are left.
const guardEnv = "STRIPECAST_E2E_GUARD"

var guardPipe struct {
	sync.Mutex
	w io.Writer
}

func startGuard() error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), guardEnv+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	guardPipe.w, err = cmd.StdinPipe()
	if err != nil {
		return err
	}
	return cmd.Start()
}

func tellGuard(sign string, pid int) {
	guardPipe.Lock()
	defer guardPipe.Unlock()
	fmt.Fprintf(guardPipe.w, "%s%d\n", sign, pid)
}

func guard() {
	var left []int
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		pid, err := strconv.Atoi(lines.Text()[1:])
		switch {
		case err != nil:
		case lines.Text()[0] == '+':
			left = append(left, pid)
		default:
			left = slices.DeleteFunc(left, func(p int) bool { return p == pid })
		}
	}
	for _, pid := range left {
		syscall.Kill(-pid, syscall.SIGKILL)
	}
}

// text collects what a process writes.
type text struct {
	mu    sync.Mutex // guards what follows
	b     bytes.Buffer
	first time.Time // when the first byte came
}

func (x *text) Write(p []byte) (int, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.first.IsZero() && len(p) > 0 {
		x.first = time.Now()
	}
	return x.b.Write(p)
}

func (x *text) Bytes() []byte {
	x.mu.Lock()
	defer x.mu.Unlock()
	return bytes.Clone(x.b.Bytes())
}

func (x *text) String() string { return string(x.Bytes()) }

func (x *text) Len() int {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.b.Len()
}

// First is when the first byte came; zero if none has.
func (x *text) First() time.Time {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.first
}

// nobody is the number of the user and the group who own nothing.
const nobody = 65534

// proc is a process under way, the leader of a group of its own.
type proc struct {
	name     string
	cmd      *exec.Cmd
	out, err *text
	began    time.Time
	exited   chan struct{}
}

// options of a process that few set.
type options struct {
	stdin  io.Reader
	stdout io.Writer
	env    []string
	nobody bool // run it as the user nobody if we are root: it would not run as that
}

// launch starts any program. It is killed when the test ends, with all that it
// started.
func launch(t testing.TB, o options, name, path string, args ...string) *proc {
	t.Helper()
	p := &proc{name: name, cmd: exec.Command(path, args...), out: &text{}, err: &text{}, exited: make(chan struct{})}
	p.cmd.Stdin, p.cmd.Stdout, p.cmd.Stderr = o.stdin, p.out, p.err
	if o.stdout != nil {
		p.cmd.Stdout = o.stdout
	}
	p.cmd.Env = append(os.Environ(), o.env...)
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if o.nobody && os.Geteuid() == 0 {
		p.cmd.SysProcAttr.Credential = &syscall.Credential{Uid: nobody, Gid: nobody}
	}
	p.cmd.WaitDelay = 2 * time.Second
	p.began = time.Now()
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	tellGuard("+", p.cmd.Process.Pid)
	go func() {
		defer close(p.exited)
		p.cmd.Wait()
		tellGuard("-", p.cmd.Process.Pid)
	}()
	t.Cleanup(func() {
		syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
		<-p.exited
		if t.Failed() {
			t.Logf("%s (%v) wrote to standard error:\n%s", p.name, p.cmd.ProcessState, tail(p.err.String(), 1500))
		}
	})
	return p
}

func tail(s string, n int) string {
	if len(s) > n {
		return "…" + s[len(s)-n:]
	}
	return s
}

// stripecast starts the program under test. Its home is an empty directory.
func stripecast(t testing.TB, o options, name string, args ...string) *proc {
	t.Helper()
	home := t.TempDir()
	o.env = append([]string{
		"HOME=" + home, "XDG_CONFIG_HOME=" + filepath.Join(home, "config"), "XDG_CACHE_HOME=" + filepath.Join(home, "cache"),
	}, o.env...)
	return launch(t, o, name, bin, args...)
}

// homeAt makes a directory a process's home, and where it has its files for a while.
func homeAt(dir string) options {
	return options{env: []string{"HOME=" + dir, "XDG_CONFIG_HOME=" + dir, "XDG_CACHE_HOME=" + dir, "TMPDIR=" + dir}}
}

// mustBeEmpty wants nothing to be left in a directory.
func mustBeEmpty(t testing.TB, dir string) {
	t.Helper()
	left, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range left {
		t.Errorf("%s was left behind", e.Name())
	}
}

func (p *proc) running() bool {
	select {
	case <-p.exited:
		return false
	default:
		return true
	}
}

func (p *proc) signal(t testing.TB, s syscall.Signal) {
	t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		t.Fatalf("%s: %v", p.name, err)
	}
}

// exit waits for the process and returns its exit code; -1 if a signal killed it.
func (p *proc) exit(t testing.TB, within time.Duration) int {
	t.Helper()
	late := time.NewTimer(within)
	defer late.Stop()
	select {
	case <-p.exited:
	case <-late.C:
		t.Fatalf("%s still runs after %v", p.name, within)
	}
	return p.cmd.ProcessState.ExitCode()
}

// mustEnd wants exit code 0.
func (p *proc) mustEnd(t testing.TB, within time.Duration) {
	t.Helper()
	if code := p.exit(t, within); code != 0 {
		t.Fatalf("%s ended with %v", p.name, p.cmd.ProcessState)
	}
}

// says waits for a match on standard error and returns its groups.
func (p *proc) says(t testing.TB, pattern string, within time.Duration) []string {
	t.Helper()
	return p.match(t, p.err, pattern, within)
}

// prints waits for a match on standard output.
func (p *proc) prints(t testing.TB, pattern string, within time.Duration) []string {
	t.Helper()
	return p.match(t, p.out, pattern, within)
}

func (p *proc) match(t testing.TB, from *text, pattern string, within time.Duration) []string {
	t.Helper()
	re := regexp.MustCompile(pattern)
	var m []string
	ok := poll(within, func() bool {
		gone := !p.running()
		m = re.FindStringSubmatch(from.String())
		return m != nil || gone
	})
	if !ok || m == nil {
		t.Fatalf("%s (%v) did not write %q within %v", p.name, p.cmd.ProcessState, pattern, within)
	}
	return m
}

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

func eventually(t testing.TB, within time.Duration, what string, ok func() bool) {
	t.Helper()
	if !poll(within, ok) {
		t.Fatalf("not within %v: %s (%s)", within, what, load())
	}
}

// pass lets time go by, and is over early if a process of those ends.
func pass(d time.Duration, watched ...*proc) {
	poll(d, func() bool { return slices.ContainsFunc(watched, func(p *proc) bool { return !p.running() }) })
}

// load is how busy the machine is: what to look at first when something is late.
func load() string {
	b, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "load unknown"
	}
	says := "load " + strings.Join(strings.Fields(string(b))[:3], " ")
	// The share of time in which something that could run had to wait.
	if b, err := os.ReadFile("/proc/pressure/cpu"); err == nil {
		says += ", CPU pressure " + strings.Fields(string(b))[1]
	}
	return says
}

func atoi(t testing.TB, s string) uint32 {
	t.Helper()
	n, err := strconv.ParseUint(s, 10, 32)
	if err != nil {
		t.Fatal(err)
	}
	return uint32(n)
}
