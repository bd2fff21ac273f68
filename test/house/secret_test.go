package house

import (
	"go/ast"
	"slices"
	"testing"
)

// keyHolders is who may know the key of a private stream's link: who reads or writes links,
// who encrypts, and who decrypts. What is between them, carries, gossips, stores and serves,
// cannot tell a key that it is never given.
var keyHolders = []string{"cmd/stripecast", "playout/view", "relay/source", "stripe"}

// keysStayHome finds others that name a key, or what opens with one.
func keysStayHome(tr *tree) []string {
	var found []string
	for _, f := range tr.files {
		if f.test || slices.Contains(keyHolders, f.dir) {
			continue
		}
		ast.Inspect(f.ast, func(n ast.Node) bool {
			if id, ok := n.(*ast.Ident); ok && slices.Contains([]string{"LinkKey", "ParseLinkKey", "NewCipher", "NewKeyring"}, id.Name) {
				found = append(found, tr.at(id.Pos(), "%s has nothing to do with the keys of private streams", f.dir))
			}
			return true
		})
	}
	return found
}

func TestKeysStayHome(t *testing.T) {
	hold(t, keysStayHome)
	finds(t, keysStayHome, []breach{
		{"a relay with a key", one("relay/a.go", "package relay\ntype Config struct{ Key stripe.LinkKey }"), []string{"relay has nothing to do"}},
		{"a status with one", one("playout/httpd/a.go", "package httpd\nfunc f(x string) { stripe.ParseLinkKey(x) }"), []string{"playout/httpd has"}},
		{"a viewer", one("playout/view/a.go", "package view\nvar k stripe.LinkKey"), nil},
		{"a test", one("relay/a_test.go", "package relay\nvar k stripe.LinkKey"), nil},
		{"a relay without", one("relay/a.go", "package relay\ntype Config struct{ Key ed25519.PrivateKey }"), nil},
	})
}
