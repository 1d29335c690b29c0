package storekit

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/quiesce-go/quiesce/driver/sqlite"
	"github.com/quiesce-go/quiesce/lifecycle"
	"github.com/quiesce-go/quiesce/storekit/codec"
	"github.com/quiesce-go/quiesce/storekit/kv"
	"github.com/quiesce-go/quiesce/storekit/secret"
)

// keyring is the cipher of a store over its lives: made with the database,
// opened with it, forgotten and unlocked.
type keyring struct {
	mu     sync.Mutex
	secret secret.Secret
	forget bool           // at every pause
	cipher *secret.Cipher // nil in a plain store, and before the first life
}

// establish makes the kit's tables in a database that has none, and a cipher
// where it is to be an encrypted one. Content that was there before is plain, and stays so.
func (s *Store) establish(ctx context.Context, c *sqlite.Conn, empty bool) error {
	var err error
	with := s.secretNow()
	switch {
	case with.None():
		err = s.makeTables(ctx, c, nil)
	case !empty:
		err = secret.ErrSuperfluousSecret
	default:
		var cipher *secret.Cipher
		cipher, err = secret.Create(ctx, with, func(_, header []byte) error { return s.makeTables(ctx, c, header) })
		if err == nil {
			s.use(cipher)
		}
	}
	if errors.Is(err, secret.ErrStale) { // another process has made them meanwhile
		return s.unlock(ctx, c)
	}
	return err
}

// makeTables makes the kit's tables, with the header of the cipher if there is one.
func (s *Store) makeTables(ctx context.Context, c *sqlite.Conn, header []byte) error {
	return c.Update(ctx, func(c *sqlite.Conn) error {
		known, _, err := tables(ctx, c)
		if err != nil {
			return err
		}
		if known {
			return secret.ErrStale
		}
		if err := c.ExecScript(ctx, metaTable); err != nil {
			return err
		}
		if err := kv.Create(ctx, c); err != nil {
			return err
		}
		if header == nil {
			return nil
		}
		return setMeta(ctx, c, metaCipher, header)
	})
}

// unlock checks the secret against the database, and gets the keys where they are not there.
func (s *Store) unlock(ctx context.Context, c *sqlite.Conn) error {
	header, with, needed, err := s.header(ctx, c)
	if err != nil || !needed {
		return err
	}
	s.mu.Lock()
	cipher := s.cipher
	s.mu.Unlock()
	if cipher != nil {
		if cipher.Holds(header) {
			return nil
		}
		err = cipher.UnlockFrom(ctx, func() ([]byte, secret.Secret, error) {
			var err error
			header, with, _, err = s.header(ctx, c) // those that belong together
			return header, with, err
		})
		if err == nil {
			s.use(cipher)
		}
		if !errors.Is(err, secret.ErrOtherStore) {
			return err
		}
	}
	// The first life, or the database of another store that was accepted in the place of the old one.
	if cipher, err = secret.Open(ctx, header, with); err != nil {
		return err
	}
	s.use(cipher)
	return nil
}

// header reads the cipher's header, and says whether it needs the secret that is returned with it.
func (s *Store) header(ctx context.Context, c *sqlite.Conn) (header []byte, with secret.Secret, needed bool, err error) {
	with = s.secretNow()
	if header, err = meta(ctx, c, metaCipher); err == nil {
		needed, err = secret.Needed(header, with)
	}
	return header, with, needed, err
}

func (s *Store) secretNow() secret.Secret {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.secret
}

func (s *Store) use(cipher *secret.Cipher) {
	s.mu.Lock()
	old := s.cipher
	s.cipher = cipher
	s.mu.Unlock()
	_ = s.codec.Use(cipher) // it waits for one: there is a secret
	if old != nil && old != cipher {
		old.Forget()
		if s.leases != nil {
			s.leases.HashChanged()
		}
	}
}

// observe forgets the keys when nothing of the store is open any more, whoever
// waits for that or has left.
func (s *Store) observe(e lifecycle.Event) {
	switch {
	case e.To == lifecycle.Closed:
		s.wipeKeys(errClosed)
	case e.To == lifecycle.Paused && s.forget:
		s.wipeKeys(errPaused)
	}
}

// What the codec says when the keys are gone. Whoever is still inside an
// operation that a pause has cut finds out here before any statement tells him.
var (
	errPaused = fmt.Errorf("%w, and the operation was %w", lifecycle.ErrPaused, lifecycle.ErrInterrupted)
	errClosed = fmt.Errorf("%w, and the operation was %w", lifecycle.ErrClosed, lifecycle.ErrInterrupted)
)

func (s *Store) wipeKeys(why error) {
	s.codec.Lock(why)
	s.mu.Lock()
	cipher := s.cipher
	s.mu.Unlock()
	if cipher != nil {
		cipher.Forget()
	}
}

// ReloadKeys reads the header of the cipher again, and gets its keys. It is for
// a process that has met secret.ErrUnknownKey because another one has rotated
// the data key meanwhile; a Resume does it by itself.
func (s *Store) ReloadKeys(ctx context.Context) error {
	err := s.db.Read(ctx, func(c *sqlite.Conn) error { return s.unlock(ctx, c) })
	return s.failed("reload keys", err)
}

// ErrPlain is returned by what only an encrypted store can do. It is codec.ErrPlain.
var ErrPlain = codec.ErrPlain

// encrypted returns the cipher of a store that has a secret.
func (s *Store) encrypted() (*secret.Cipher, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cipher == nil {
		return nil, secret.ErrLocked // it has never been resumed
	}
	return s.cipher, nil
}

// changing begins a change of the keys with an operation on the database: that
// waits for a Resume, where it is the policy, or says that the store is paused or closed.
func (s *Store) changing(ctx context.Context) (cipher *secret.Cipher, err error) {
	if s.secretIsNone() {
		return nil, ErrPlain
	}
	err = s.db.Read(ctx, func(*sqlite.Conn) (err error) {
		cipher, err = s.encrypted()
		return err
	})
	return cipher, err
}

// save makes a secret.Save of a transaction. It waits for no Resume: that would wait for the change to end.
func (s *Store) save(ctx context.Context, fn func(c *sqlite.Conn, old, header []byte) error) secret.Save {
	ctx = lifecycle.WithPolicy(ctx, lifecycle.Fail)
	return func(old, header []byte) error {
		return s.db.Update(ctx, func(c *sqlite.Conn) error { return fn(c, old, header) })
	}
}

func replaceHeader(ctx context.Context, c *sqlite.Conn, old, header []byte) error {
	res, err := c.Exec(ctx, `UPDATE storekit_meta SET value = ? WHERE key = ? AND value = ?`, header, metaCipher, old)
	if err == nil && res.RowsAffected == 0 {
		err = secret.ErrStale
	}
	return err
}

// ChangeSecret makes next the secret of the store. old is checked first. Nothing
// is sealed anew: whoever has an old copy of the file and the old secret can
// open that copy. Rotate is for that. Another process that has the store open
// goes on, and needs the new secret when it opens or resumes it the next time.
//
// After it, the store itself uses next for its Resumes.
func (s *Store) ChangeSecret(ctx context.Context, old, next secret.Secret) error {
	if s.forget && !next.Asked() {
		return s.failed("change the secret", fmt.Errorf("%w: with ForgetKeyOnPause it has to be one of secret.Ask", ErrConfig))
	}
	cipher, err := s.changing(ctx)
	if err == nil {
		save := s.save(ctx, func(c *sqlite.Conn, old, header []byte) error { return replaceHeader(ctx, c, old, header) })
		err = cipher.ChangeSecret(ctx, old, next, func(old, header []byte) error {
			err := save(old, header)
			if err == nil { // before anybody reads the new header: unlock does when this has returned
				s.mu.Lock()
				s.secret = next
				s.mu.Unlock()
			}
			return err
		})
	}
	return s.failed("change the secret", err)
}
