// Package table is what the tables of the simulators share.
package table

import (
	"flag"
	"strings"
	"testing"
)

// Asked leaves a test that fills a table out of a run of everything, for it takes
// minutes: it runs if -run names it, as in
//
//	go test ./test/sim/... -run Table -v
func Asked(t *testing.T, name string) {
	t.Helper()
	if run := flag.Lookup("test.run"); run == nil || !strings.Contains(run.Value.String(), name) {
		t.Skipf("takes minutes: go test ./test/sim/... -run %s -v", name)
	}
}
