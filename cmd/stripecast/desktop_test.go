package main

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// TestDesktopEntry: a path and a player with whatever is in them stay one argument each.
func TestDesktopEntry(t *testing.T) {
	entry := desktopEntry(`/opt/a b/50%/s"t$r`, `mpv --title=a\b`)
	if want := "\nExec=\"/opt/a b/50%%/s\\\\\"t\\\\$r\" view %u --player \"mpv --title=a\\\\\\\\b\"\n"; !strings.Contains(entry, want) {
		t.Errorf("%s\nwant %s", entry, want)
	}
	if !strings.HasPrefix(entry, "[Desktop Entry]\n") || !strings.Contains(entry, "\nMimeType=x-scheme-handler/stripecast;\n") {
		t.Errorf("%s", entry)
	}
	code, out, errs := call(t, "desktop", "print", "--player", "vlc -f")
	if self, err := os.Executable(); err != nil || code != 0 || errs != "" || out != desktopEntry(self, "vlc -f") {
		t.Errorf("%d, %v\n%s%s", code, err, out, errs)
	}
	if code, _, errs := call(t, "desktop", "install", "--player", " "); code != 1 || !strings.Contains(errs, "hint: give --player") {
		t.Errorf("%d, %s", code, errs)
	}
}

// TestDesktopInstall: the entry is where desktops look, and xdg-mime is told; without
// it, what to do is said.
func TestDesktopInstall(t *testing.T) {
	if runtime.GOOS == "windows" || runtime.GOOS == "darwin" {
		t.Skip("this system knows no desktop entries")
	}
	data, bin := t.TempDir(), t.TempDir()
	t.Setenv("XDG_DATA_HOME", data)
	t.Setenv("PATH", bin)
	code, _, errs := call(t, "desktop", "install")
	if code != 1 || !strings.Contains(errs, "hint: install xdg-utils and run: xdg-mime default stripecast.desktop x-scheme-handler/stripecast") {
		t.Errorf("without xdg-mime: %d, %s", code, errs)
	}
	told := filepath.Join(bin, "told")
	script := "#!/bin/sh\necho \"$@\" > '" + told + "'\n"
	if err := os.WriteFile(filepath.Join(bin, "xdg-mime"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	if code, _, errs := call(t, "desktop", "install"); code != 0 {
		t.Errorf("%d, %s", code, errs)
	}
	entry, err := os.ReadFile(filepath.Join(data, "applications", "stripecast.desktop"))
	if self, _ := os.Executable(); err != nil || string(entry) != desktopEntry(self, "mpv") {
		t.Errorf("%v\n%s", err, entry)
	}
	if b, err := os.ReadFile(told); err != nil || string(b) != "default stripecast.desktop x-scheme-handler/stripecast\n" {
		t.Errorf("xdg-mime was told %q, %v", b, err)
	}
}
