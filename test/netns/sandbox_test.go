//go:build linux

package netns

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// What the process outside tells the one inside.
const (
	insideEnv = "STRIPECAST_NETNS_INSIDE"
	bin       = "STRIPECAST_BIN" // the program under test
)

// missing is why there is no sandbox; empty inside.
var missing string

func TestMain(m *testing.M) {
	if role := os.Getenv(roleEnv); role != "" {
		os.Exit(play(role, os.Args[1:]))
	}
	if os.Getenv(insideEnv) != "" {
		if err := furnish(); err != nil {
			fmt.Fprintln(os.Stderr, "sandbox:", err)
			os.Exit(1)
		}
		os.Exit(m.Run())
	}
	if missing = lacks(); missing != "" {
		os.Exit(m.Run())
	}
	code, err := enter()
	if errors.Is(err, syscall.EPERM) {
		missing = "root may make no namespaces here"
		code, err = m.Run(), nil
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "sandbox:", err)
		code = 1
	}
	os.Exit(code)
}

// lacks is what this machine has not that the tests need.
func lacks() string {
	if os.Geteuid() != 0 {
		return "network namespaces need root"
	}
	for _, program := range []string{"ip", "tc", "nft"} {
		if _, err := exec.LookPath(program); err != nil {
			return program + " is missing"
		}
	}
	return ""
}

// need skips a test where there is no sandbox, or fails it where there must be one.
func need(t testing.TB) {
	t.Helper()
	switch {
	case missing == "":
	case os.Getenv("STRIPECAST_REQUIRE_TOOLS") == "1":
		t.Fatalf("%s, and STRIPECAST_REQUIRE_TOOLS is 1", missing)
	default:
		t.Skip(missing)
	}
}

// enter builds the program and runs this test binary, with the same arguments, in
// namespaces of its own. What it leaves in files goes with a folder.
func enter() (code int, err error) {
	dir, err := os.MkdirTemp("", "stripecast-netns-")
	if err != nil {
		return 1, err
	}
	defer os.RemoveAll(dir)
	program := os.Getenv(bin)
	if program == "" {
		program = filepath.Join(dir, "stripecast")
		build := exec.Command("go", "build", "-o", program, "github.com/stripecast/stripecast/cmd/stripecast")
		if out, err := build.CombinedOutput(); err != nil {
			return 1, fmt.Errorf("go build: %w\n%s", err, out)
		}
	}
	self, err := os.Executable()
	if err != nil {
		return 1, err
	}
	cmd := exec.Command(self, os.Args[1:]...)
	cmd.Env = append(os.Environ(), insideEnv+"=1", bin+"="+program, "TMPDIR="+dir)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	// Nothing is ever written to it: it closes when we are gone.
	if _, err = cmd.StdinPipe(); err != nil {
		return 1, err
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWPID | syscall.CLONE_NEWNS,
	}
	if err := cmd.Start(); err != nil {
		return 1, err
	}
	err = cmd.Wait()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		return max(exit.ExitCode(), 1), nil
	}
	return 0, err
}

// furnish makes the new namespaces fit to live in, and sees to it that they end
// with the process outside.
func furnish() error {
	go func() {
		io.Copy(io.Discard, os.Stdin)
		fmt.Fprintln(os.Stderr, "sandbox: whoever started it is gone")
		os.Exit(1) // the first process of a PID namespace takes all others with it
	}()
	// Nothing that is mounted here is seen outside. The names of namespaces are
	// files below /run.
	if err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("mount: %w", err)
	}
	for _, m := range []struct{ kind, at string }{{"proc", "/proc"}, {"tmpfs", "/run"}} {
		if err := syscall.Mount(m.kind, m.at, m.kind, 0, ""); err != nil {
			return fmt.Errorf("mount %s: %w", m.at, err)
		}
	}
	if err := os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("1"), 0); err != nil {
		return err
	}
	return run("", "ip", "link", "set", "lo", "up")
}

// run runs a program to its end.
func run(stdin, program string, args ...string) error {
	cmd := exec.Command(program, args...)
	cmd.Stdin = strings.NewReader(stdin)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", strings.Join(cmd.Args, " "), err, out)
	}
	return nil
}

func mustRun(t testing.TB, stdin, program string, args ...string) {
	t.Helper()
	if err := run(stdin, program, args...); err != nil {
		t.Fatal(err)
	}
}
