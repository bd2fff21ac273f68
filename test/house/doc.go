// Package house holds the code to the rules of ARCHITECTURE.md and CONTRIBUTING.md:
// what a pure package may not touch, who may import whom, where limits stand, how
// long a file may be. It has tests only.
//
//	files on disk ─parse─▶ tree ─▶ rule ─▶ what breaks it: "overlay/forest.go:12: …"
//	snippets in a test ──────┘
//
// A rule is a function from a tree to complaints. Each is held against the project
// and, so that it is known to be able to fail, against snippets that break it.
// Nothing is compiled: a rule that needs types takes those of other packages from
// what the go command has built. Taste is left to reviewers.
package house
