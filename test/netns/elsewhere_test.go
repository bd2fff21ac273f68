//go:build !linux

package netns

import "testing"

func TestTableN(t *testing.T) { t.Skip("network namespaces are Linux's") }
