package main

import (
	"archive/tar"
	"archive/zip"
	"compress/gzip"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// file is one of an archive: with the bytes of another file, or of its own.
type file struct {
	name string // with slashes
	from string // path; empty: what is in text
	text []byte
	mode fs.FileMode
}

func (f *file) bytes() ([]byte, error) {
	if f.from == "" {
		return f.text, nil
	}
	return os.ReadFile(f.from)
}

// below is all files in a folder, in the order of their names.
func below(dir string) (files []file, err error) {
	err = filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		name, err := filepath.Rel(dir, path)
		files = append(files, file{name: filepath.ToSlash(name), from: path, mode: 0o644})
		return err
	})
	return files, err
}

// writeTar writes files of the superuser, all of one time.
func writeTar(w io.Writer, files []file, at time.Time) error {
	t := tar.NewWriter(w)
	for _, f := range files {
		b, err := f.bytes()
		if err != nil {
			return err
		}
		h := &tar.Header{Name: f.name, Mode: int64(f.mode.Perm()), ModTime: at, Format: tar.FormatUSTAR, Typeflag: tar.TypeReg, Size: int64(len(b)), Uname: "root", Gname: "root"}
		if f.mode.IsDir() {
			h.Typeflag = tar.TypeDir
		}
		if err := t.WriteHeader(h); err != nil {
			return err
		}
		if _, err := t.Write(b); err != nil {
			return err
		}
	}
	return t.Close()
}

func writeTarball(w io.Writer, files []file, at time.Time) error {
	return compress(w, func(w io.Writer) error { return writeTar(w, files, at) })
}

// compress writes gzip without a time or a name.
func compress(w io.Writer, content func(io.Writer) error) error {
	z, err := gzip.NewWriterLevel(w, gzip.BestCompression)
	if err != nil {
		return err
	}
	if err := content(z); err != nil {
		return err
	}
	return z.Close()
}

func writeZip(w io.Writer, files []file, at time.Time) error {
	z := zip.NewWriter(w)
	for _, f := range files {
		b, err := f.bytes()
		if err != nil {
			return err
		}
		h := &zip.FileHeader{Name: f.name, Method: zip.Deflate, Modified: at}
		h.SetMode(f.mode)
		part, err := z.CreateHeader(h)
		if err != nil {
			return err
		}
		if _, err := part.Write(b); err != nil {
			return err
		}
	}
	return z.Close()
}
