//go:build !darwin && !freebsd && !linux && !windows

package store

import (
	"errors"
	"io"
)

// Free is not known here.
func (machine) Free(string) (int64, error) { return 0, errors.ErrUnsupported }

// lockFile fails here, and so nothing is written.
func lockFile(string) (io.Closer, error) { return nil, errors.ErrUnsupported }

func syncDir(string) error { return nil }
