// Command packaging makes a release: the program for every system and processor, with its
// manual pages, completion and an example of a configuration, packages for Debian, and a
// list of checksums.
//
//	go run ./cmd/stripecast/packaging -o dist                 # all of it
//	go run ./cmd/stripecast/packaging -o dist linux/arm64     # for one of them
//
// One commit makes one release: the same toolchain makes the same bytes of it, wherever
// and whenever, since no path and no time but the commit's (or SOURCE_DATE_EPOCH's) gets
// into it.
//
// The unit of systemd and the Dockerfile lie beside it.
package main

import (
	"crypto/sha256"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// targets is what a release is made for.
var targets = []string{"linux/amd64", "linux/arm64", "darwin/amd64", "darwin/arm64", "windows/amd64", "windows/arm64"}

func main() {
	r := release{run: command}
	flag.StringVar(&r.out, "o", "dist", "`DIR` to write to")
	flag.StringVar(&r.version, "version", "", "`VERSION` (default: what git describe says)")
	flag.Parse()
	if err := r.make(flag.Args()); err != nil {
		fmt.Fprintf(os.Stderr, "error: %v\n", err)
		os.Exit(1)
	}
}

// release is one under way.
type release struct {
	out, version string
	at           time.Time // of every file
	root         string    // of the project
	// run runs a program in a directory, with some variables more, and returns what it
	// prints.
	run func(dir string, env []string, name string, args ...string) (string, error)
}

func command(dir string, env []string, name string, args ...string) (string, error) {
	cmd := exec.Command(name, args...)
	cmd.Dir, cmd.Env, cmd.Stderr = dir, append(os.Environ(), env...), os.Stderr
	out, err := cmd.Output()
	if err != nil {
		err = fmt.Errorf("%s %s: %w", name, strings.Join(args, " "), err)
	}
	return strings.TrimSpace(string(out)), err
}

// make makes the release for some targets; for all if none is named.
func (r *release) make(only []string) error {
	for _, t := range only {
		if !slices.Contains(targets, t) {
			return fmt.Errorf("there is no target %s; there are %s", t, strings.Join(targets, ", "))
		}
	}
	if len(only) == 0 {
		only = targets
	}
	if err := r.settle(); err != nil {
		return err
	}
	work, err := os.MkdirTemp("", "stripecast-release-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	papers := filepath.Join(work, "papers")
	if _, err := r.run(r.root, nil, "go", "run", "./cmd/stripecast", "papers", papers); err != nil {
		return err
	}
	if err := os.MkdirAll(r.out, 0o755); err != nil {
		return err
	}
	var made []string
	for _, target := range only {
		names, err := r.target(target, work, papers)
		if err != nil {
			return fmt.Errorf("%s: %w", target, err)
		}
		made = append(made, names...)
	}
	return r.checksums(made)
}

// settle finds out where the project is, and which version of when.
func (r *release) settle() (err error) {
	if r.root, err = r.run("", nil, "go", "list", "-m", "-f", "{{.Dir}}"); err != nil {
		return err
	}
	if r.version == "" {
		if r.version, err = r.run(r.root, nil, "git", "describe", "--tags", "--always", "--dirty"); err != nil {
			return err
		}
	}
	if strings.Trim(r.version, "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.+-~") != "" || r.version == "" {
		return fmt.Errorf("%q cannot be a version", r.version)
	}
	at := os.Getenv("SOURCE_DATE_EPOCH")
	if at == "" {
		if at, err = r.run(r.root, nil, "git", "log", "-1", "--format=%ct"); err != nil {
			return err
		}
	}
	seconds, err := strconv.ParseInt(at, 10, 64)
	r.at = time.Unix(seconds, 0).UTC()
	return err
}

// target makes all files of one target, and returns their names.
func (r *release) target(target, work, papers string) ([]string, error) {
	system, processor, _ := strings.Cut(target, "/")
	program := "stripecast"
	if system == "windows" {
		program += ".exe"
	}
	built := filepath.Join(work, system+"-"+processor, program)
	env := []string{"CGO_ENABLED=0", "GOOS=" + system, "GOARCH=" + processor, "GOAMD64=v1", "GOARM64=v8.0", "GOFLAGS="}
	_, err := r.run(r.root, env, "go", "build", "-buildvcs=false", "-trimpath", "-ldflags", "-s -w -X main.release="+r.version, "-o", built, "./cmd/stripecast")
	if err != nil {
		return nil, err
	}
	name := fmt.Sprintf("stripecast-%s-%s-%s", strings.TrimPrefix(r.version, "v"), system, processor)
	files := []file{{name: program, from: built, mode: 0o755}}
	for _, page := range []string{"README.md", "LICENSE"} {
		files = append(files, file{name: page, from: filepath.Join(r.root, page), mode: 0o644})
	}
	of, err := below(papers)
	if err != nil {
		return nil, err
	}
	files = append(files, of...)
	for i := range files {
		files[i].name = name + "/" + files[i].name
	}
	if system == "windows" {
		return []string{name + ".zip"}, r.write(name+".zip", func(w io.Writer) error { return writeZip(w, files, r.at) })
	}
	made := []string{name + ".tar.gz"}
	if err := r.write(made[0], func(w io.Writer) error { return writeTarball(w, files, r.at) }); err != nil {
		return nil, err
	}
	if system == "linux" {
		deb := fmt.Sprintf("stripecast_%s_%s.deb", debVersion(r.version), processor)
		made = append(made, deb)
		unit := filepath.Join(r.root, "cmd", "stripecast", "packaging", "stripecast@.service")
		err = r.write(deb, func(w io.Writer) error { return writeDeb(w, r, processor, built, unit, papers) })
	}
	return made, err
}

func (r *release) write(name string, content func(io.Writer) error) error {
	f, err := os.Create(filepath.Join(r.out, name))
	if err != nil {
		return err
	}
	return errors.Join(content(f), f.Close())
}

// checksums lists them as sha256sum does, to be checked with sha256sum -c.
func (r *release) checksums(names []string) error {
	slices.Sort(names)
	return r.write("SHA256SUMS", func(w io.Writer) error {
		for _, name := range names {
			b, err := os.ReadFile(filepath.Join(r.out, name))
			if err != nil {
				return err
			}
			fmt.Fprintf(w, "%x  %s\n", sha256.Sum256(b), name)
		}
		return nil
	})
}
