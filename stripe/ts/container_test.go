package ts

import "testing"

func TestContainer(t *testing.T) {
	for head, want := range map[string]string{
		"\x1a\x45\xdf\xa3\x01":           "Matroska",
		"\x00\x00\x00\x20ftypisom":       "MP4",
		"\x00\x00\x00\x08wide\x00":       "QuickTime",
		"FLV\x01\x05":                    "FLV",
		"RIFF\x00\x00\x00\x00AVI LIST":   "AVI",
		"RIFF\x00\x00\x00\x00WAVEfmt ":   "WAV",
		"fLaC\x00":                       "FLAC",
		"RIFF\x00\x00\x00\x00WEBP":       "",
		"RIFF":                           "",
		"":                               "",
		"ftyp":                           "",
		"OggS\x00":                       "",
		"this is no stream\nthis is no ": "",
		string(adtsFrame(100)):           "",
		string(mp3Frame(0)):              "",
	} {
		if got := Container([]byte(head)); got != want {
			t.Errorf("%q is %q, want %q", head[:min(len(head), 12)], got, want)
		}
	}
}
