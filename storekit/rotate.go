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

	rotateAgain = 8 // how often it goes after what others seal with an old key meanwhile
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
// Should another process seal on with an old key, so that there is always something
// left, Rotate gives up with ErrOldKeysInUse, and nothing is lost; a row that it cannot seal
// anew is ErrSealedColumn.
//
// with is the store's secret, which is checked first. What was sealed with the
// store's Codec and kept elsewhere, in files say, is not known here and will not open any more.
func (s *Store) Rotate(ctx context.Context, with secret.Secret, o RotateOptions) error {
	return s.failed("rotate", s.rotate(ctx, with, o))
}

func (s *Store) rotate(ctx context.Context, with secret.Secret, o RotateOptions) error {
	cipher, err := s.changing(ctx)
	if err != nil {
		return err
	}
	if err := s.rotating.take(ctx); err != nil { // a second one would only repeat what the first one does
		return err
	}
	defer s.rotating.give()
	if err := s.beginRotation(ctx, cipher, with); err != nil {
		return err
	}
	for i, col := range s.sealed {
		told := Progress{Operation: "rotate", Step: col.String(), Number: i + 1, Of: len(s.sealed)}
		if _, err := s.reseal(ctx, cipher, col, told, o.Progress); err != nil {
			return err
		}
	}
	if o.KeepOldKeys {
		return s.db.Update(ctx, func(c *sqlite.Conn) error { return deleteMeta(ctx, c, metaRotation) })
	}
	for again := 0; ; again++ {
		// What was sealed with an old key before the rotation and written behind its back.
		inUse := s.dropOldKeys(ctx, cipher, with)
		if !errors.Is(inUse, ErrOldKeysInUse) || again == rotateAgain {
			return inUse
		}
		var resealed int64
		for _, col := range s.sealed {
			n, err := s.reseal(ctx, cipher, col, Progress{}, nil)
			if err != nil {
				return err
			}
			resealed += n
		}
		if resealed == 0 { // and never will be
			return inUse
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
	return cipher.Rotate(ctx, with, s.save(ctx, func(c *sqlite.Conn, old, header []byte) error {
		if err := replaceHeader(ctx, c, old, header); err != nil {
			return err
		}
		return setMeta(ctx, c, metaRotation, []byte{1})
	}))
}

// DropOldKeys ends a rotation with KeepOldKeys. It returns ErrOldKeysInUse, and
// drops nothing, where something still needs them.
func (s *Store) DropOldKeys(ctx context.Context, with secret.Secret) error {
	cipher, err := s.changing(ctx)
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
	return cipher.DropOldKeys(ctx, with, s.save(ctx, func(c *sqlite.Conn, old, header []byte) error {
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
		if err := replaceHeader(ctx, c, old, header); err != nil {
			return err
		}
		return deleteMeta(ctx, c, metaRotation) // this is where a rotation ends
	}))
}

// reseal brings a column over to the newest key. It returns how many values it has.
func (s *Store) reseal(ctx context.Context, cipher *secret.Cipher, col SealedColumn, told Progress, to func(Progress)) (resealed int64, err error) {
	prefix, err := cipher.Prefix()
	if err != nil {
		return 0, err
	}
	if to != nil {
		err := s.db.View(ctx, func(c *sqlite.Conn) error {
			return c.QueryRow(ctx, fmt.Sprintf(`SELECT count(*) FROM %s WHERE substr(%s, 1, %d) <> ?`, col.table(), col.column(), len(prefix)), prefix).Scan(&told.Total)
		})
		if err != nil {
			return 0, err
		}
	}
	told.to(to)
	var after any // nothing: the walk begins
	for {
		batch, err := s.old(ctx, col, prefix, after)
		if err != nil || len(batch) == 0 {
			return resealed, err
		}
		n, err := s.resealBatch(ctx, cipher, col, batch)
		if err != nil {
			return resealed, err
		}
		resealed += n
		after = batch[len(batch)-1].id
		told.Done += int64(len(batch))
		told.to(to)
	}
}

// old returns some values of a column that an old key has sealed, in the order
// of their rows as SQLite has it, and behind the row after.
func (s *Store) old(ctx context.Context, col SealedColumn, prefix []byte, after any) (batch []sealedValue, err error) {
	args, behind := []any{prefix}, ""
	if after != nil { // no value stands before all others for a column of any affinity, so the first look has none
		args, behind = []any{after, prefix}, col.row()+` > ? AND `
	}
	query := fmt.Sprintf(`SELECT %[1]s, %[2]s FROM %[3]s WHERE %[5]ssubstr(%[2]s, 1, %[4]d) <> ? ORDER BY %[1]s LIMIT %[6]d`,
		col.row(), col.column(), col.table(), len(prefix), behind, rotateRows)
	err = s.db.View(ctx, func(c *sqlite.Conn) error {
		size := 0
		for r, err := range c.Rows(ctx, query, args...) {
			if err != nil {
				return err
			}
			v, err := col.read(r)
			if err != nil {
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

// resealBatch writes them anew, and returns how many. A row that somebody has
// changed meanwhile is left alone: what he has written, he has sealed.
func (s *Store) resealBatch(ctx context.Context, cipher *secret.Cipher, col SealedColumn, batch []sealedValue) (resealed int64, err error) {
	fresh := make([][]byte, len(batch))
	for i, v := range batch {
		var changed bool
		if fresh[i], changed, err = cipher.Reseal(v.value, col.place(v.row)); err != nil {
			return 0, fmt.Errorf("%s: row %x: %w", col, v.row, err)
		}
		if !changed { // it was found because it does not begin as a value of the newest key does
			return 0, fmt.Errorf("%w: %s: row %x: it is a stream", ErrSealedColumn, col, v.row)
		}
	}
	update := fmt.Sprintf(`UPDATE %[3]s SET %[2]s = ? WHERE %[1]s = ? AND %[2]s = ?`, col.row(), col.column(), col.table())
	err = s.db.Update(ctx, func(c *sqlite.Conn) error {
		resealed = 0
		for i, v := range batch {
			res, err := c.Exec(ctx, update, fresh[i], v.id, v.value)
			if err != nil {
				return err
			}
			resealed += res.RowsAffected
		}
		return nil
	})
	return resealed, err
}
