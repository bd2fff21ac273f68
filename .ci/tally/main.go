// Command tally reads what "go test -json" writes, prints it short, and counts:
// a line a package, all that a failed test said, and every test that was skipped.
//
//	go test -json ./... | go run ./.ci/tally
//
// It fails if a test failed, or if one was skipped: a test that needs a tool must
// find it here. Those that -elsewhere matches may be skipped: they are run by another
// command. It fails too if a package that was asked for certain tests has none.
package main

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
)

// event is one line of input; see "go doc test2json".
type event struct {
	Action, Package, ImportPath, Test, Output string
	Elapsed                                   float64
}

// slowest is how many of the slowest tests are named.
const slowest = 8

type tally struct {
	elsewhere               *regexp.Regexp // nil if none
	passed, failed, skipped int
	wrong                   []string
	said                    map[[2]string]string // by package and test, until it ends
	slow                    []event
}

func main() {
	t := &tally{said: map[[2]string]string{}}
	flag.Func("elsewhere", "`REGEXP` of tests (PACKAGE.TEST) that may be skipped", func(s string) (err error) {
		t.elsewhere, err = regexp.Compile(s)
		return err
	})
	flag.Parse()
	in := bufio.NewReader(os.Stdin)
	for {
		line, err := in.ReadBytes('\n')
		var e event
		switch {
		case len(line) > 0 && json.Unmarshal(line, &e) == nil:
			t.add(e)
		case len(line) > 0:
			fmt.Print(string(line))
		}
		if err != nil {
			break
		}
	}
	os.Exit(t.close())
}

func (t *tally) add(e event) {
	key := [2]string{e.Package, e.Test}
	switch e.Action {
	case "output":
		t.said[key] += e.Output
	case "build-output":
		fmt.Print(e.Output)
	case "build-fail":
		t.wrong = append(t.wrong, e.ImportPath+" does not build")
	case "pass", "fail", "skip":
		t.end(e)
		delete(t.said, key)
	}
}

func (t *tally) end(e event) {
	said := t.said[[2]string{e.Package, e.Test}]
	if e.Test == "" && e.Action == "skip" {
		return // it has no tests
	}
	if e.Test == "" {
		fmt.Printf("%-4s %7.1f s  %s\n", e.Action, e.Elapsed, e.Package)
		if e.Action == "fail" {
			fmt.Print(said)
			t.wrong = append(t.wrong, e.Package)
		}
		if strings.Contains(said, "[no tests to run]") {
			t.wrong = append(t.wrong, e.Package+" has no such test")
		}
		return
	}
	t.slow = append(t.slow, e)
	switch e.Action {
	case "pass":
		t.passed++
	case "fail":
		t.failed++
		fmt.Print(said)
	case "skip":
		if t.elsewhere != nil && t.elsewhere.MatchString(e.Package+"."+e.Test) {
			return
		}
		t.skipped++
		fmt.Print(said)
		t.wrong = append(t.wrong, e.Package+" skipped "+e.Test)
	}
}

// close prints the sum and returns the exit code.
func (t *tally) close() int {
	slices.SortFunc(t.slow, func(a, b event) int { return int(1000 * (b.Elapsed - a.Elapsed)) })
	for _, e := range t.slow[:min(slowest, len(t.slow))] {
		fmt.Printf("slow %7.1f s  %s %s\n", e.Elapsed, e.Package, e.Test)
	}
	for _, w := range t.wrong {
		fmt.Println("wrong:", w)
	}
	fmt.Printf("%d skipped\n", t.skipped)
	fmt.Printf("%d passed, %d failed\n", t.passed, t.failed)
	if t.failed > 0 || len(t.wrong) > 0 || t.passed == 0 {
		return 1
	}
	return 0
}
