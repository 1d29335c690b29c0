package storekit

import (
	"context"
	"errors"
	"fmt"

	"github.com/quiesce-go/quiesce/driver/sqlite"
	"github.com/quiesce-go/quiesce/storekit/secret"
)

// What one transaction of a rotation may take: so many rows, and about so many bytes.
const (
	rotateRows  = 256
	rotateBytes = 4 << 20
)

// RotateOptions says how Rotate works. The zero value is for a store that one process has open.
type RotateOptions struct {
	// KeepOldKeys leaves the old keys in the header. Other processes that have
	// the store open seal with them until they are resumed, or call ReloadKeys;
	// when all of them have, DropOldKeys ends the rotation. Without it, what
	// another process seals with a key that was dropped is lost.
	KeepOldKeys bool

	// Progress, where it is not nil, is called after every transaction.
	Progress func(Progress)
}

// ErrOldKeysInUse is returned by DropOldKeys when something is still sealed with
// a key that would be dropped: Rotate brings it over.
var ErrOldKeysInUse = errors.New("values are still sealed with an old key")

// Rotate makes a new data key and seals everything anew with it: the values of
// package kv and those of Config.Sealed. At its end it drops the old keys, in a
// transaction that has seen that nothing needs them. Hashed keys stay as they are.
//
// It works in small transactions. A Pause ends it between two of them, or
// within one: Rotate then returns lifecycle.ErrPaused or ErrInterrupted.
// Whatever ended it, also a kill, the store is whole, and the next Rotate goes on
// where this one was.
//
// with is the store's secret, which is checked first. What was sealed with the
// store's Codec and kept elsewhere, in files say, is not known here and will not open any more.
func (s *Store) Rotate(ctx context.Context, with secret.Secret, o RotateOptions) error {
	return s.failed("rotate", s.rotate(ctx, with, o))
}

func (s *Store) rotate(ctx context.Context, with secret.Secret, o RotateOptions) error {
	cipher, err := s.encrypted()
	if err != nil {
		return err
	}
	s.rotating.Lock() // a second one would only repeat what the first one does
	defer s.rotating.Unlock()
	if err := s.beginRotation(ctx, cipher, with); err != nil {
		return err
	}
	for i, col := range s.sealed {
		told := Progress{Operation: "rotate", Step: col.String(), Number: i + 1, Of: len(s.sealed)}
		if err := s.reseal(ctx, cipher, col, told, o.Progress); err != nil {
			return err
		}
	}
	if err := s.db.Update(ctx, func(c *sqlite.Conn) error { return deleteMeta(ctx, c, metaRotation) }); err != nil || o.KeepOldKeys {
		return err
	}
	for {
		// What was sealed with an old key before the rotation and written behind its back.
		err := s.dropOldKeys(ctx, cipher, with)
		if !errors.Is(err, ErrOldKeysInUse) {
			return err
		}
		for _, col := range s.sealed {
			if err := s.reseal(ctx, cipher, col, Progress{}, nil); err != nil {
				return err
			}
		}
	}
}

// beginRotation adds the new key, or finds that an earlier Rotate has, and checks the secret.
func (s *Store) beginRotation(ctx context.Context, cipher *secret.Cipher, with secret.Secret) error {
	var header, unfinished []byte
	err := s.db.View(ctx, func(c *sqlite.Conn) (err error) {
		if header, err = meta(ctx, c, metaCipher); err != nil {
			return err
		}
		unfinished, err = meta(ctx, c, metaRotation)
		return err
	})
	if err != nil {
		return err
	}
	if unfinished != nil || !cipher.Holds(header) { // or another process has changed the header
		if err := cipher.Unlock(ctx, header, with); err != nil || unfinished != nil {
			return err
		}
	}
	return cipher.Rotate(ctx, with, func(old, header []byte) error {
		return s.db.Update(ctx, func(c *sqlite.Conn) error {
			if err := replaceHeader(ctx, c, old, header); err != nil {
				return err
			}
			return setMeta(ctx, c, metaRotation, []byte{1})
		})
	})
}

// DropOldKeys ends a rotation with KeepOldKeys. It returns ErrOldKeysInUse, and
// drops nothing, where something still needs them.
func (s *Store) DropOldKeys(ctx context.Context, with secret.Secret) error {
	cipher, err := s.encrypted()
	if err == nil {
		err = s.dropOldKeys(ctx, cipher, with)
	}
	return s.failed("drop the old keys", err)
}

func (s *Store) dropOldKeys(ctx context.Context, cipher *secret.Cipher, with secret.Secret) error {
	prefix, err := cipher.Prefix()
	if err != nil {
		return err
	}
	return cipher.DropOldKeys(ctx, with, func(old, header []byte) error {
		return s.db.Update(ctx, func(c *sqlite.Conn) error {
			for _, col := range s.sealed {
				var some bool
				err := c.QueryRow(ctx, fmt.Sprintf(`SELECT EXISTS (SELECT 1 FROM %s WHERE substr(%s, 1, %d) <> ?)`, col.table(), col.column(), len(prefix)), prefix).Scan(&some)
				switch {
				case err != nil:
					return err
				case some:
					return fmt.Errorf("%w: %s", ErrOldKeysInUse, col)
				}
			}
			return replaceHeader(ctx, c, old, header)
		})
	})
}

// reseal brings a column over to the newest key.
func (s *Store) reseal(ctx context.Context, cipher *secret.Cipher, col SealedColumn, told Progress, to func(Progress)) error {
	prefix, err := cipher.Prefix()
	if err != nil {
		return err
	}
	if to != nil {
		err := s.db.View(ctx, func(c *sqlite.Conn) error {
			return c.QueryRow(ctx, fmt.Sprintf(`SELECT count(*) FROM %s WHERE substr(%s, 1, %d) <> ?`, col.table(), col.column(), len(prefix)), prefix).Scan(&told.Total)
		})
		if err != nil {
			return err
		}
	}
	told.to(to)
	for after := []byte{}; after != nil; told.to(to) {
		var batch []sealedValue
		if batch, err = s.old(ctx, col, prefix, after); err != nil {
			return err
		}
		if after, err = s.resealBatch(ctx, cipher, col, batch); err != nil {
			return err
		}
		told.Done += int64(len(batch))
	}
	return nil
}

// sealedValue is a value, and the row that it is in.
type sealedValue struct{ row, value []byte }

// old returns some values of a column that an old key has sealed, in the order of their rows.
func (s *Store) old(ctx context.Context, col SealedColumn, prefix, after []byte) (batch []sealedValue, err error) {
	query := fmt.Sprintf(`SELECT %[1]s, %[2]s FROM %[3]s WHERE %[1]s > ? AND substr(%[2]s, 1, %[4]d) <> ? ORDER BY %[1]s LIMIT %[5]d`,
		col.row(), col.column(), col.table(), len(prefix), rotateRows)
	err = s.db.View(ctx, func(c *sqlite.Conn) error {
		size := 0
		for r, err := range c.Rows(ctx, query, after, prefix) {
			if err != nil {
				return err
			}
			var v sealedValue
			if err := r.Scan(&v.row, &v.value); err != nil {
				return err
			}
			batch = append(batch, v)
			if size += len(v.value); size >= rotateBytes {
				break
			}
		}
		return nil
	})
	return batch, err
}

// resealBatch writes them anew. A row that somebody has changed meanwhile is
// left alone: what he has written, he has sealed. It returns the last row, nil where there was none.
func (s *Store) resealBatch(ctx context.Context, cipher *secret.Cipher, col SealedColumn, batch []sealedValue) (last []byte, err error) {
	if len(batch) == 0 {
		return nil, nil
	}
	fresh := make([][]byte, len(batch))
	for i, v := range batch {
		if fresh[i], _, err = cipher.Reseal(v.value, col.place(v.row)); err != nil {
			return nil, fmt.Errorf("row %x: %w", v.row, err)
		}
	}
	update := fmt.Sprintf(`UPDATE %[3]s SET %[2]s = ? WHERE %[1]s = ? AND %[2]s = ?`, col.row(), col.column(), col.table())
	err = s.db.Update(ctx, func(c *sqlite.Conn) error {
		for i, v := range batch {
			if _, err := c.Exec(ctx, update, fresh[i], v.row, v.value); err != nil {
				return err
			}
		}
		return nil
	})
	return batch[len(batch)-1].row, err
}
