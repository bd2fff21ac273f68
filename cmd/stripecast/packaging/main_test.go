package main

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// need skips a test on a machine without a program, or fails it where it must be.
func need(t *testing.T, program string) {
	t.Helper()
	if _, err := exec.LookPath(program); err == nil {
		return
	}
	if os.Getenv("STRIPECAST_REQUIRE_TOOLS") == "1" {
		t.Fatalf("%s is missing, and STRIPECAST_REQUIRE_TOOLS is 1", program)
	}
	t.Skipf("%s is missing", program)
}

const epoch = 1_700_000_001

// made makes a release for some targets with a program that is only a few bytes, and
// returns what it was made with.
func made(t *testing.T, out string, only ...string) (builds []string) {
	t.Helper()
	t.Setenv("SOURCE_DATE_EPOCH", fmt.Sprint(epoch))
	r := release{out: out, version: "v1.2.3-rc1"}
	r.run = func(dir string, env []string, name string, args ...string) (string, error) {
		switch all := append([]string{name}, args...); {
		case slices.Contains(all, "papers"):
			for _, paper := range []string{"stripecast.yaml", "man/stripecast.1", "completions/_stripecast", "completions/stripecast.ps1"} {
				at := filepath.Join(all[len(all)-1], paper)
				if err := os.MkdirAll(filepath.Dir(at), 0o700); err != nil {
					return "", err
				}
				if err := os.WriteFile(at, []byte("this is "+paper+"\n"), 0o600); err != nil {
					return "", err
				}
			}
			return "", nil
		case slices.Contains(all, "build"):
			at := all[slices.Index(all, "-o")+1]
			builds = append(builds, strings.Join(append(env, all...), " "))
			if err := os.MkdirAll(filepath.Dir(at), 0o700); err != nil {
				return "", err
			}
			return "", os.WriteFile(at, []byte("a program"), 0o700)
		default:
			return command(dir, env, name, args...)
		}
	}
	if err := r.make(only); err != nil {
		t.Fatal(err)
	}
	return builds
}

// TestRelease: there is a file for every target, its checksum is right, and made again
// it is the same to the byte.
func TestRelease(t *testing.T) {
	first, second := t.TempDir(), t.TempDir()
	builds := made(t, first)
	made(t, second)
	sums, err := os.ReadFile(filepath.Join(first, "SHA256SUMS"))
	if err != nil {
		t.Fatal(err)
	}
	again, err := os.ReadFile(filepath.Join(second, "SHA256SUMS"))
	if err != nil || !bytes.Equal(sums, again) {
		t.Errorf("made again, it is another release:\n%s\n%s, %v", sums, again, err)
	}
	var names []string
	for _, line := range strings.Split(strings.TrimSpace(string(sums)), "\n") {
		sum, name, _ := strings.Cut(line, "  ")
		b, err := os.ReadFile(filepath.Join(first, name))
		if err != nil || fmt.Sprintf("%x", sha256.Sum256(b)) != sum {
			t.Errorf("%s is not as its checksum says: %v", name, err)
		}
		names = append(names, name)
	}
	want := "stripecast-1.2.3-rc1-darwin-amd64.tar.gz stripecast-1.2.3-rc1-darwin-arm64.tar.gz " +
		"stripecast-1.2.3-rc1-linux-amd64.tar.gz stripecast-1.2.3-rc1-linux-arm64.tar.gz " +
		"stripecast-1.2.3-rc1-windows-amd64.zip stripecast-1.2.3-rc1-windows-arm64.zip " +
		"stripecast_1.2.3~rc1_amd64.deb stripecast_1.2.3~rc1_arm64.deb"
	if got := strings.Join(names, " "); got != want {
		t.Errorf("it has %s", got)
	}
	for i, target := range targets {
		system, processor, _ := strings.Cut(target, "/")
		for _, part := range []string{"CGO_ENABLED=0", "GOOS=" + system, "GOARCH=" + processor, "-trimpath", "-X main.release=v1.2.3-rc1"} {
			if !strings.Contains(builds[i], part) {
				t.Errorf("%s is built without %s: %s", target, part, builds[i])
			}
		}
	}
}

// TestArchives: what is in them, for each kind of system.
func TestArchives(t *testing.T) {
	dir := t.TempDir()
	made(t, dir, "darwin/arm64", "windows/amd64")
	f, err := os.Open(filepath.Join(dir, "stripecast-1.2.3-rc1-darwin-arm64.tar.gz"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	top := "stripecast-1.2.3-rc1-darwin-arm64/"
	want := []string{"stripecast", "README.md", "LICENSE", "completions/_stripecast", "completions/stripecast.ps1", "man/stripecast.1", "stripecast.yaml"}
	for i, h := range tarball(t, f) {
		if i >= len(want) || h.Name != top+want[i] || (h.Mode == 0o755) != (i == 0) || !h.ModTime.Equal(time.Unix(epoch, 0)) || h.Uid != 0 || h.Uname != "root" {
			t.Errorf("file %d is %+v", i, h)
		}
	}
	z, err := zip.OpenReader(filepath.Join(dir, "stripecast-1.2.3-rc1-windows-amd64.zip"))
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	if len(z.File) != len(want) || z.File[0].Name != "stripecast-1.2.3-rc1-windows-amd64/stripecast.exe" {
		t.Errorf("%d files, the first is %s", len(z.File), z.File[0].Name)
	}
}

func tarball(t *testing.T, r io.Reader) (all []*tar.Header) {
	t.Helper()
	z, err := gzip.NewReader(r)
	if err != nil {
		t.Fatal(err)
	}
	for in := tar.NewReader(z); ; {
		h, err := in.Next()
		if err == io.EOF {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, h)
	}
}

// TestDeb: dpkg reads the package, and everything is where Debian looks for it.
func TestDeb(t *testing.T) {
	need(t, "dpkg-deb")
	dir := t.TempDir()
	made(t, dir, "linux/arm64")
	deb := filepath.Join(dir, "stripecast_1.2.3~rc1_arm64.deb")
	out := func(args ...string) string {
		t.Helper()
		b, err := exec.Command("dpkg-deb", args...).CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %s", err, b)
		}
		return string(b)
	}
	if got := out("--field", deb, "Package", "Version", "Architecture"); got != "Package: stripecast\nVersion: 1.2.3~rc1\nArchitecture: arm64\n" {
		t.Errorf("%q", got)
	}
	list := out("--contents", deb)
	for _, line := range []string{
		`-rwxr-xr-x root/root +9 .* ./usr/bin/stripecast`,
		`-rw-r--r-- root/root .* ./usr/lib/systemd/system/stripecast@.service`,
		`-rw-r--r-- root/root .* ./usr/share/man/man1/stripecast.1.gz`,
		`-rw-r--r-- root/root .* ./usr/share/zsh/vendor-completions/_stripecast`,
		`-rw-r--r-- root/root .* ./etc/stripecast/stripecast.yaml`,
		`drwxr-xr-x root/root .* ./usr/share/doc/stripecast/`,
	} {
		if !regexp.MustCompile(`(?m)^` + line + `$`).MatchString(list) {
			t.Errorf("there is no %s in\n%s", line, list)
		}
	}
	if strings.Contains(list, "ps1") {
		t.Error("PowerShell has no place on Debian")
	}
	into := t.TempDir()
	out("--raw-extract", deb, into)
	for name, want := range map[string]string{"DEBIAN/conffiles": "/etc/stripecast/stripecast.yaml\n", "usr/bin/stripecast": "a program"} {
		if b, err := os.ReadFile(filepath.Join(into, name)); err != nil || string(b) != want {
			t.Errorf("%s is %q, %v", name, b, err)
		}
	}
	for _, script := range []string{"postinst", "prerm", "postrm"} {
		if b, err := exec.Command("sh", "-n", filepath.Join(into, "DEBIAN", script)).CombinedOutput(); err != nil {
			t.Errorf("%s: %v %s", script, err, b)
		}
	}
}

func TestDebVersion(t *testing.T) {
	for version, want := range map[string]string{
		"v1.2.3": "1.2.3", "1.2.3": "1.2.3", "v1.2.3-rc1": "1.2.3~rc1", "2aadc81": "0~2aadc81", "deadbee-dirty": "0~deadbee~dirty", "v0.1.0-3-g2aadc81": "0.1.0~3~g2aadc81",
	} {
		if got := debVersion(version); got != want {
			t.Errorf("%s: %s, want %s", version, got, want)
		}
	}
}

func TestRefused(t *testing.T) {
	r := release{run: command, out: t.TempDir()}
	if err := r.make([]string{"plan9/mips"}); err == nil || !strings.Contains(err.Error(), "there is no target plan9/mips") {
		t.Errorf("an unknown target: %v", err)
	}
	r.version = "1.0/../x"
	if err := r.make(targets[:1]); err == nil || !strings.Contains(err.Error(), "cannot be a version") {
		t.Errorf("no version: %v", err)
	}
}

// TestUnit: systemd finds nothing wrong with the unit, nor much that it leaves open.
func TestUnit(t *testing.T) {
	need(t, "systemd-analyze")
	b, err := os.ReadFile("stripecast@.service")
	if err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable() // it looks for the program
	if err != nil {
		t.Fatal(err)
	}
	unit := filepath.Join(t.TempDir(), "stripecast@relay.service")
	if err := os.WriteFile(unit, bytes.ReplaceAll(b, []byte("/usr/bin/stripecast"), []byte(self)), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{
		{"verify", "--man=no", unit},
		{"security", "--offline=true", "--threshold=15", unit}, // of 100; none is 96
	} {
		if out, err := exec.Command("systemd-analyze", args...).CombinedOutput(); err != nil || args[0] == "verify" && len(out) > 0 {
			t.Errorf("systemd-analyze %s: %v\n%s", args[0], err, out)
		}
	}
}

// TestDockerfile: the image is built by the Go that the project needs, and what it runs
// has neither a shell nor a superuser.
func TestDockerfile(t *testing.T) {
	b, err := os.ReadFile("Dockerfile")
	if err != nil {
		t.Fatal(err)
	}
	mod, err := os.ReadFile("../../../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	version := regexp.MustCompile(`(?m)^go (\d+\.\d+)`).FindSubmatch(mod)[1]
	for _, want := range []string{"golang:" + string(version) + " AS build", "FROM gcr.io/distroless/static-debian12:nonroot", "main.release=$VERSION", "-trimpath", "CGO_ENABLED=0"} {
		if !strings.Contains(string(b), want) {
			t.Errorf("it lacks %s", want)
		}
	}
}
