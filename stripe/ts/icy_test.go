package ts

import "testing"

func TestStreamTitle(t *testing.T) {
	for meta, want := range map[string]string{
		"StreamTitle='A - B';\x00\x00":               "A - B",
		"StreamTitle='It's here';StreamUrl='x';\x00": "It's here",
		"StreamUrl='x';StreamTitle='';":              "",
		"StreamTitle='never ends":                    "none",
		"StreamUrl='x';":                             "none",
		"":                                           "none",
	} {
		got, ok := StreamTitle([]byte(meta))
		if ok != (want != "none") || ok && string(got) != want {
			t.Errorf("%q: %q %v", meta, got, ok)
		}
	}
}
