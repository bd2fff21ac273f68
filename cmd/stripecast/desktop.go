package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/spf13/cobra"
)

const (
	desktopFile = "stripecast.desktop"
	linkType    = "x-scheme-handler/stripecast"
)

func newDesktop(c *console) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "desktop",
		Short: "Open links by a click, on a desktop",
		Long: "Make the desktop open stripecast:// links with this program, which starts a player\n" +
			"and ends with it: for what follows the freedesktop.org specifications, as GNOME, KDE\n" +
			"and Xfce do. It is for this user alone, and asks for no rights.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	add := func(use, short string, run func(entry string) error) {
		player := ""
		sub := &cobra.Command{
			Use: use, Short: short, Args: cobra.NoArgs,
			RunE: func(*cobra.Command, []string) error {
				if _, err := playerCommand(player); err != nil {
					return err
				}
				self, err := os.Executable()
				if err != nil {
					return err
				}
				return run(desktopEntry(self, player))
			},
		}
		sub.Flags().StringVar(&player, "player", "mpv", "`COMMAND` that links are opened with")
		cmd.AddCommand(sub)
	}
	add("print", "Print the desktop entry", func(entry string) error {
		_, err := fmt.Fprint(c.out, entry)
		return err
	})
	add("install", "Write the desktop entry and make it the one that opens links", func(entry string) error {
		return installDesktop(c, runtime.GOOS, entry)
	})
	return cmd
}

// desktopEntry is the file by which a desktop knows a program (freedesktop.org, Desktop
// Entry Specification 1.5).
func desktopEntry(program, player string) string {
	return "[Desktop Entry]\n" +
		"Type=Application\n" +
		"Name=stripecast\n" +
		"Comment=Watch a live stream\n" +
		"Exec=" + execWord(program) + " view %u --player " + execWord(player) + "\n" +
		"MimeType=" + linkType + ";\n" +
		"Categories=AudioVideo;Network;\n" +
		"NoDisplay=true\n" +
		"Terminal=false\n"
}

// execWord quotes one argument of Exec: first as Exec has it, then as any value has it,
// in which a backslash is two.
func execWord(s string) string {
	s = strings.NewReplacer(`\`, `\\`, `"`, `\"`, "`", "\\`", `$`, `\$`, "%", "%%").Replace(s)
	return `"` + strings.ReplaceAll(s, `\`, `\\`) + `"`
}

func installDesktop(c *console, system, entry string) error {
	if system == "windows" || system == "darwin" {
		return fail(errors.New("this system knows no desktop entries"), "give links to: stripecast view LINK --player mpv")
	}
	dir := os.Getenv("XDG_DATA_HOME")
	if !filepath.IsAbs(dir) {
		home, err := os.UserHomeDir()
		if err != nil {
			return fail(err, "set HOME, or XDG_DATA_HOME")
		}
		dir = filepath.Join(home, ".local", "share")
	}
	dir = filepath.Join(dir, "applications")
	path := filepath.Join(dir, desktopFile)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fail(err, "check that %s can be written", dir)
	}
	if err := os.WriteFile(path, []byte(entry), 0o644); err != nil {
		return fail(err, "check that %s can be written", dir)
	}
	c.say("wrote %s; to be rid of it, delete it", path)
	if out, err := exec.Command("xdg-mime", "default", desktopFile, linkType).CombinedOutput(); err != nil {
		return fail(errors.New(strings.TrimSpace(fmt.Sprintf("xdg-mime: %v %s", err, out))),
			"install xdg-utils and run: xdg-mime default %s %s", desktopFile, linkType)
	}
	c.say("links that begin with stripecast:// open with it")
	return nil
}
