//go:build !cgo

package mattn

import (
	"fmt"

	"github.com/quiesce-go/quiesce/driver/sqlite"
)

// Open returns ErrNoCgo.
func (engine) Open(path string, _ sqlite.OpenOptions) (sqlite.Raw, error) {
	return nil, fmt.Errorf("open %s: %w", path, ErrNoCgo)
}

// ErrorCode knows no error.
func (engine) ErrorCode(error) (int, bool) { return 0, false }
