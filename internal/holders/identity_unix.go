//go:build unix && !linux

package holders

import (
	"errors"
	"os"
	"syscall"
)

// identify returns the identity of the file at path, following links.
func identify(path string) (fileID, error) {
	info, err := os.Stat(path)
	if err != nil {
		return fileID{}, err
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return fileID{}, errors.New("holders: stat told no inode")
	}
	return fileID{dev: uint64(st.Dev), ino: uint64(st.Ino)}, nil
}
