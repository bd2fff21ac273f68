package ts

import "bytes"

// Container tells from the first bytes of a file which well-known kind of file it is that
// cannot be cut as it is, but may hold what could be: "" if it is none of them. A few
// bytes are enough.
func Container(prefix []byte) string {
	for _, c := range containers {
		if len(prefix) >= c.at && bytes.HasPrefix(prefix[c.at:], []byte(c.magic)) && (c.form == "" || len(prefix) >= 8 && bytes.HasPrefix(prefix[8:], []byte(c.form))) {
			return c.name
		}
	}
	return ""
}

// containers are what begins with a magic at a place, and for RIFF and IFF its form at 8.
var containers = []struct {
	at                int
	magic, form, name string
}{
	{0, "\x1a\x45\xdf\xa3", "", "Matroska"},
	{4, "ftyp", "", "MP4"},
	{4, "moov", "", "QuickTime"},
	{4, "mdat", "", "QuickTime"},
	{4, "wide", "", "QuickTime"},
	{0, "FLV\x01", "", "FLV"},
	{0, "RIFF", "AVI ", "AVI"},
	{0, "RIFF", "WAVE", "WAV"},
	{0, "RF64", "WAVE", "WAV"},
	{0, "FORM", "AIFF", "AIFF"},
	{0, "fLaC", "", "FLAC"},
	{0, "\x30\x26\xb2\x75\x8e\x66\xcf\x11", "", "ASF"},
	{0, "\x00\x00\x01\xba", "", "MPEG-PS"},
	{0, "\x06\x0e\x2b\x34", "", "MXF"},
}
