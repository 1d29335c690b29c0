package storekit

import (
	"context"

	"github.com/quiesce-go/quiesce/driver/sqlite"
	"github.com/quiesce-go/quiesce/lifecycle"
)

// Backup writes a copy of the store's database to a new file at path, complete
// and of one moment, while the store goes on being read and written. The copy of
// an encrypted store is encrypted, with the same secret. Leases are not in it.
// An existing file is never overwritten: the error matches fs.ErrExist.
//
// A Pause ends it at once, with lifecycle.ErrInterrupted; whatever ends it,
// also a kill, no file is at path then. told, where it is not nil, is called
// after every step, in pages.
func (s *Store) Backup(ctx context.Context, path string, told func(Progress)) error {
	o := sqlite.BackupOptions{Progress: func(pages, total int) {
		Progress{Operation: "backup", Done: int64(pages), Total: int64(total)}.to(told)
	}}
	err := s.db.Read(lifecycle.WithLabel(ctx, "backup"), func(c *sqlite.Conn) error {
		return s.yielding(ctx, func(ctx context.Context) error { return c.Backup(ctx, path, o) })
	})
	return s.failed("backup", err)
}
