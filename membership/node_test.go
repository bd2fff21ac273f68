package membership

import "testing"

// TestBrief: a node has one name for people, whether its whole ID is known or not.
func TestBrief(t *testing.T) {
	id := NodeIDOf(testKey(3))
	if got := id.Short().Brief(); got != id.Brief() || len(got) != 8 {
		t.Errorf("%q and %q", got, id.Brief())
	}
}
