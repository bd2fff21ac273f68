package main

import (
	"bytes"
	"crypto/md5"
	"fmt"
	"io"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// This file makes a package for Debian (deb(5)): an archive of ar with a version, a
// tarball about the package, and one of its files.

const (
	debMaintainer = "The stripecast maintainers <stripecast@users.noreply.github.com>"
	debConfig     = "etc/stripecast/stripecast.yaml"

	// What runs is not started or stopped by an installation, but by whoever enabled it;
	// an upgrade starts again what runs, and a removal ends it.
	debInstalled = `#!/bin/sh
set -e
if [ "$1" = configure ] && [ -d /run/systemd/system ]; then
	systemctl daemon-reload
	[ -z "$2" ] || systemctl try-restart 'stripecast@*.service' || true
fi
`
	debRemoving = `#!/bin/sh
set -e
if [ "$1" = remove ] && [ -d /run/systemd/system ]; then
	systemctl stop 'stripecast@*.service' || true
fi
`
	debRemoved = `#!/bin/sh
set -e
if [ -d /run/systemd/system ]; then
	systemctl daemon-reload
fi
if [ "$1" = purge ]; then
	rm -rf /var/cache/stripecast /var/cache/private/stripecast
fi
`
)

// debVersion is a version as Debian orders them: what follows a - comes before what
// goes without.
func debVersion(version string) string {
	v := strings.ReplaceAll(strings.TrimPrefix(version, "v"), "-", "~")
	if v == "" || v[0] < '0' || v[0] > '9' || !strings.Contains(v, ".") {
		v = "0~" + v // a commit, of which there is no version yet
	}
	return v
}

// debPlace is where a paper belongs; empty: nowhere on Debian.
func debPlace(name string) string {
	switch dir, base := path.Split(name); {
	case name == "stripecast.yaml":
		return debConfig
	case dir == "man/":
		return "usr/share/man/man1/" + base + ".gz"
	case base == "stripecast.bash":
		return "usr/share/bash-completion/completions/stripecast"
	case base == "_stripecast":
		return "usr/share/zsh/vendor-completions/_stripecast"
	case base == "stripecast.fish":
		return "usr/share/fish/vendor_completions.d/stripecast.fish"
	default:
		return ""
	}
}

// debFiles is what is installed, sorted.
func debFiles(r *release, built, unit, papers string) ([]file, error) {
	files := []file{
		{name: "usr/bin/stripecast", from: built, mode: 0o755},
		{name: "usr/lib/systemd/system/stripecast@.service", from: unit, mode: 0o644},
		{name: "usr/share/doc/stripecast/README.md", from: filepath.Join(r.root, "README.md"), mode: 0o644},
		{name: "usr/share/doc/stripecast/copyright", from: filepath.Join(r.root, "LICENSE"), mode: 0o644},
	}
	of, err := below(papers)
	if err != nil {
		return nil, err
	}
	for _, f := range of {
		name := debPlace(f.name)
		if name == "" {
			continue
		}
		f.name = name
		if strings.HasSuffix(name, ".gz") {
			page, err := f.bytes()
			if err != nil {
				return nil, err
			}
			var b bytes.Buffer
			if err := compress(&b, func(w io.Writer) error { _, err := w.Write(page); return err }); err != nil {
				return nil, err
			}
			f.from, f.text = "", b.Bytes()
		}
		files = append(files, f)
	}
	slices.SortFunc(files, func(a, b file) int { return strings.Compare(a.name, b.name) })
	return files, nil
}

func writeDeb(w io.Writer, r *release, processor, built, unit, papers string) error {
	files, err := debFiles(r, built, unit, papers)
	if err != nil {
		return err
	}
	var sums strings.Builder
	size := 0
	for _, f := range files {
		b, err := f.bytes()
		if err != nil {
			return err
		}
		size += len(b)
		fmt.Fprintf(&sums, "%x  %s\n", md5.Sum(b), f.name)
	}
	control := fmt.Sprintf("Package: stripecast\nVersion: %s\nArchitecture: %s\nMaintainer: %s\nInstalled-Size: %d\n"+
		"Suggests: ffmpeg, mpv\nSection: video\nPriority: optional\nHomepage: https://github.com/stripecast/stripecast\n"+
		"Description: live streaming that no single machine has to carry\n"+
		" A source codes a stream into stripes and sends each down a tree of relays of its\n"+
		" own; viewers play from as many of them as are there.\n",
		debVersion(r.version), processor, debMaintainer, (size+1023)/1024)
	about := []file{
		{name: "./control", text: []byte(control), mode: 0o644},
		{name: "./conffiles", text: []byte("/" + debConfig + "\n"), mode: 0o644},
		{name: "./md5sums", text: []byte(sums.String()), mode: 0o644},
		{name: "./postinst", text: []byte(debInstalled), mode: 0o755},
		{name: "./prerm", text: []byte(debRemoving), mode: 0o755},
		{name: "./postrm", text: []byte(debRemoved), mode: 0o755},
	}
	if _, err := io.WriteString(w, "!<arch>\n"); err != nil {
		return err
	}
	for _, part := range []struct {
		name  string
		files []file
	}{{"debian-binary", nil}, {"control.tar.gz", about}, {"data.tar.gz", withFolders(files)}} {
		var b bytes.Buffer
		if part.files == nil {
			b.WriteString("2.0\n")
		} else if err := writeTarball(&b, part.files, r.at); err != nil {
			return err
		}
		if err := writeMember(w, part.name, r.at.Unix(), b.Bytes()); err != nil {
			return err
		}
	}
	return nil
}

// writeMember writes a file of an archive of ar: its header has sixty bytes, and it an
// even number.
func writeMember(w io.Writer, name string, at int64, content []byte) error {
	_, err := fmt.Fprintf(w, "%-16s%-12d%-6d%-6d%-8s%-10d`\n%s%s", name, at, 0, 0, "100644", len(content), content, "\n"[:len(content)%2])
	return err
}

// withFolders is sorted files and, before them, the folders that they are in, as dpkg
// wants them.
func withFolders(files []file) (all []file) {
	known := map[string]bool{}
	var add func(dir string)
	add = func(dir string) {
		if dir == "." || known[dir] {
			return
		}
		add(path.Dir(dir))
		known[dir] = true
		all = append(all, file{name: "./" + dir + "/", mode: fs.ModeDir | 0o755})
	}
	for _, f := range files {
		add(path.Dir(f.name))
		f.name = "./" + f.name
		all = append(all, f)
	}
	return all
}
