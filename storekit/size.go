package storekit

import (
	"context"
	"errors"
	"io/fs"
	"os"

	"github.com/quiesce-go/quiesce/driver/sqlite"
)

// Size is how much room a store takes, in bytes.
type Size struct {
	Database int64 // all pages of the database, as far as they are committed
	Free     int64 // those of them that hold nothing: Optimize gives them back
	Log      int64 // the write-ahead log beside it, which a Pause writes back
	Leases   int64 // the database of the leases, with its log
}

// Total is all of it.
func (s Size) Total() int64 { return s.Database + s.Log + s.Leases }

// Size returns how much room the store takes. No file is opened for it: that
// would drop SQLite's locks.
func (s *Store) Size(ctx context.Context) (Size, error) {
	var size Size
	err := s.db.View(ctx, func(c *sqlite.Conn) (err error) {
		size, err = pages(ctx, c)
		return err
	})
	database := s.realPath()
	for _, f := range []struct {
		path string
		to   *int64
	}{
		{database + "-wal", &size.Log},
		{database + leasesSuffix, &size.Leases},
		{database + leasesSuffix + "-wal", &size.Leases},
	} {
		info, statErr := os.Stat(f.path)
		switch {
		case statErr == nil:
			*f.to += info.Size()
		case !errors.Is(statErr, fs.ErrNotExist):
			err = errors.Join(err, statErr)
		}
	}
	return size, s.failed("size", err)
}

func pages(ctx context.Context, c *sqlite.Conn) (Size, error) {
	var count, free, size int64
	err := errors.Join(
		c.QueryRow(ctx, `PRAGMA page_count`).Scan(&count),
		c.QueryRow(ctx, `PRAGMA freelist_count`).Scan(&free),
		c.QueryRow(ctx, `PRAGMA page_size`).Scan(&size))
	return Size{Database: count * size, Free: free * size}, err
}
