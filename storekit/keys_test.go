package storekit_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/quiesce-go/quiesce/driver/sqlite"
	"github.com/quiesce-go/quiesce/lifecycle"
	"github.com/quiesce-go/quiesce/storekit"
	"github.com/quiesce-go/quiesce/storekit/secret"
)

// The secret is checked before any value is touched: at Open and at Resume.
func TestTheSecretIsCheckedAtOpenAndAtResume(t *testing.T) {
	cheap := secret.Params{Time: 1, Memory: 8 << 10, Threads: 1}
	phrase := func(s string) secret.Secret { return secret.PassphraseWith([]byte(s), cheap) }
	for _, c := range []struct {
		name         string
		made, opened secret.Secret
		want         error
	}{
		{"the same key", key(1), key(1), nil},
		{"the same passphrase", phrase("x"), phrase("x"), nil},
		{"none for a plain store", secret.Secret{}, secret.Secret{}, nil},
		{"another key", key(1), key(2), secret.ErrWrongSecret},
		{"another passphrase", phrase("x"), phrase("y"), secret.ErrWrongSecret},
		{"another kind", phrase("x"), key(1), secret.ErrWrongSecret},
		{"none", key(1), secret.Secret{}, secret.ErrSecretNeeded},
		{"a superfluous one", secret.Secret{}, key(1), secret.ErrSuperfluousSecret},
		{"an empty passphrase", phrase("x"), phrase(""), secret.ErrUnusableSecret},
	} {
		t.Run(c.name, func(t *testing.T) {
			onEngines(t, func(t *testing.T, engine sqlite.Engine) {
				cfg := config(t, engine)
				cfg.Secret = c.made
				s, err := storekit.Open(ctx, cfg)
				must(t, err)
				add(t, s, "text")
				must(t, s.Close(ctx))

				cfg.Secret = c.opened
				s, err = storekit.Open(ctx, cfg)
				if c.want == nil {
					must(t, err)
					wantNotes(t, s, "text")
					must(t, s.Close(ctx))
					return
				}
				wantError(t, "Open", err, c.want)
				cfg.Database.StartPaused = true
				s = open(t, cfg)
				wantError(t, "Resume", s.Resume(ctx), c.want)
				wantError(t, "after a failed Resume", s.View(ctx, func(*sqlite.Conn) error { return nil }), lifecycle.ErrPaused)
			})
		})
	}
}

// A database that somebody has made without the kit is a plain one: a secret
// would mix sealed values with what is there.
func TestAnExistingDatabaseStaysPlain(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		cfg := config(t, engine)
		db, err := sqlite.Open(ctx, cfg.Database)
		must(t, err)
		must(t, db.Update(ctx, func(c *sqlite.Conn) error {
			return c.ExecScript(ctx, `CREATE TABLE note (row BLOB NOT NULL UNIQUE, text BLOB NOT NULL); INSERT INTO note VALUES (x'01', 'there before'); PRAGMA user_version = 1`)
		}))
		must(t, db.Close(ctx))
		_, err = storekit.Open(ctx, sealed(cfg))
		wantError(t, "with a secret", err, secret.ErrSuperfluousSecret)
		s := open(t, cfg)
		wantNotes(t, s, "there before")
		cycle(t, s)
		wantNotes(t, s, "there before")
	})
}

// asked counts how often a secret was asked for.
type asked struct {
	n    int
	give secret.Secret
	err  error
}

func (a *asked) secret() secret.Secret {
	return secret.Ask(func(context.Context) (secret.Secret, error) { a.n++; return a.give, a.err })
}

// With ForgetKeyOnPause the keys are gone when Pause returns, and every Resume asks for the secret.
func TestForgetKeyOnPause(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		a := &asked{give: key(1)}
		cfg := sealed(config(t, engine))
		cfg.Secret, cfg.ForgetKeyOnPause, cfg.Leases = a.secret(), true, true
		s := open(t, cfg)
		add(t, s, "text")
		for i := range 3 {
			must(t, s.Pause(ctx))
			_, err := s.Codec().Seal(textAt([]byte("row")), nil)
			wantError(t, "paused", err, secret.ErrLocked)
			a.give = key(1)
			must(t, s.Resume(ctx))
			if a.n != i+2 {
				t.Errorf("asked %d times, want once for Open and once for each Resume", a.n)
			}
			wantNotes(t, s, "text")
		}
		must(t, s.Pause(ctx))
		a.give = key(2)
		wantError(t, "Resume with another key", s.Resume(ctx), secret.ErrWrongSecret)
		a.give, a.err = key(1), errors.New("the keychain is locked")
		wantError(t, "Resume without an answer", s.Resume(ctx), a.err)
		a.give, a.err = key(1), nil
		must(t, s.Resume(ctx))
		wantNotes(t, s, "text")
	})
}

// A key that is kept would make forgetting it a lie.
func TestForgetKeyOnPauseNeedsSomebodyToAsk(t *testing.T) {
	cfg := config(t, engines[0])
	cfg.Secret, cfg.ForgetKeyOnPause = key(1), true
	_, err := storekit.Open(ctx, cfg)
	wantError(t, "a key", err, storekit.ErrConfig)
	noFiles(t, cfg)
	a := &asked{give: key(1)}
	cfg.Secret = a.secret()
	s := open(t, cfg)
	wantError(t, "a change to a key", s.ChangeSecret(ctx, a.secret(), key(2)), storekit.ErrConfig)
}

// Without it the keys stay, and a Resume derives nothing; Close wipes them in any case.
func TestKeysStayOverAPauseAndGoWithClose(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		a := &asked{give: key(1)}
		cfg := sealed(config(t, engine))
		cfg.Secret = a.secret()
		s, err := storekit.Open(ctx, cfg)
		must(t, err)
		cycle(t, s)
		if a.n != 1 {
			t.Errorf("asked %d times, want once", a.n)
		}
		must(t, s.Close(ctx))
		_, err = s.Codec().Seal(textAt([]byte("row")), nil)
		wantError(t, "closed", err, secret.ErrLocked)
	})
}

// A late Pause, whose caller has left, forgets the keys too.
func TestKeysAreForgottenWhoeverWaits(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		a := &asked{give: key(1)}
		cfg := sealed(config(t, engine))
		cfg.Secret, cfg.ForgetKeyOnPause = a.secret(), true
		s := open(t, cfg)
		states, stop := s.Subscribe()
		defer stop()
		inside, leave := make(chan struct{}), make(chan struct{})
		done := make(chan error, 1)
		go func() {
			done <- s.View(ctx, func(*sqlite.Conn) error { close(inside); <-leave; return nil })
		}()
		<-inside
		ended, cancel := context.WithCancel(ctx)
		cancel()
		if err := s.Pause(ended); err == nil {
			t.Fatal("the pause did not wait for the holder")
		}
		close(leave)
		<-done
		for state := range states {
			if state == lifecycle.Paused {
				break
			}
		}
		must(t, s.Pause(ctx))
		_, err := s.Codec().Seal(textAt([]byte("row")), nil)
		wantError(t, "paused at last", err, secret.ErrLocked)
	})
}

// Another passphrase takes effect at once, and rewrites nothing.
func TestChangeSecret(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		cfg := sealed(config(t, engine))
		s, err := storekit.Open(ctx, cfg)
		must(t, err)
		add(t, s, "text")
		wantError(t, "the old secret is checked", s.ChangeSecret(ctx, key(3), key(2)), secret.ErrWrongSecret)
		must(t, s.ChangeSecret(ctx, key(1), key(2)))
		cycle(t, s)
		wantNotes(t, s, "text")
		must(t, s.Close(ctx))
		_, err = storekit.Open(ctx, cfg)
		wantError(t, "the old secret", err, secret.ErrWrongSecret)
		cfg.Secret = key(2)
		s = open(t, cfg)
		wantNotes(t, s, "text")
		plain := open(t, config(t, engine))
		wantError(t, "a plain store", plain.ChangeSecret(ctx, key(1), key(2)), storekit.ErrPlain)
		wantError(t, "a plain store", plain.Rotate(ctx, key(1), storekit.RotateOptions{}), storekit.ErrPlain)
	})
}

// A rotation seals every value anew, in batches, and drops the old key.
func TestRotateSealsEverythingAnew(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		cfg := sealed(config(t, engine))
		s := open(t, cfg)
		var texts []string
		for i := range 1000 {
			texts = append(texts, strings.Repeat("x", i%50))
		}
		add(t, s, texts...)
		before := storedNotes(t, s)
		var told []storekit.Progress
		wantError(t, "the secret is checked", s.Rotate(ctx, key(2), storekit.RotateOptions{}), secret.ErrWrongSecret)
		must(t, s.Rotate(ctx, key(1), storekit.RotateOptions{Progress: func(p storekit.Progress) { told = append(told, p) }}))
		for row, old := range storedNotes(t, s) {
			if bytes.Equal(before[row], old) {
				t.Fatalf("row %x is as it was", row)
			}
			_, err := s.Codec().Open(textAt([]byte(row)), before[row])
			wantError(t, "what the dropped key has sealed", err, secret.ErrUnknownKey)
		}
		wantNotes(t, s, texts...)
		last := told[len(told)-1]
		if last.Step != "note.text" || last.Done != 1000 || last.Total != 1000 || len(told) < 5 {
			t.Errorf("progress ended with %+v after %d calls", last, len(told))
		}
		cycle(t, s)
		wantNotes(t, s, texts...)
	})
}

func storedNotes(t testing.TB, s *storekit.Store) map[string][]byte {
	t.Helper()
	stored := map[string][]byte{}
	must(t, s.View(ctx, func(c *sqlite.Conn) error {
		return c.Each(ctx, `SELECT row, text FROM note`, func(r *sqlite.Row) error {
			var row string
			var text []byte
			err := r.Scan(&row, &text)
			stored[row] = text
			return err
		})
	}))
	return stored
}

// A pause ends a rotation between two transactions. What is half done is whole, and the next one goes on.
func TestARotationThatWasEndedGoesOn(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		cfg := sealed(config(t, engine))
		s := open(t, cfg)
		texts := strings.Split(strings.Repeat("text ", 999)+"text", " ")
		add(t, s, texts...)
		var remaining []int64
		var pauses int
		for {
			first := true
			err := s.Rotate(ctx, key(1), storekit.RotateOptions{Progress: func(p storekit.Progress) {
				if p.Step != "note.text" {
					return
				}
				if first {
					remaining, first = append(remaining, p.Total), false
				} else if p.Done < p.Total {
					must(t, s.Pause(ctx))
				}
			}})
			if err == nil {
				break
			}
			wantError(t, "Rotate", err, lifecycle.ErrPaused)
			pauses++
			must(t, s.Resume(ctx))
			wantNotes(t, s, texts...)
		}
		if pauses < 2 || remaining[len(remaining)-1] >= remaining[0] {
			t.Errorf("%d pauses; left to do were %v: each run goes on where the one before was", pauses, remaining)
		}
		wantNotes(t, s, texts...)
		must(t, s.Rotate(ctx, key(1), storekit.RotateOptions{}))
		wantNotes(t, s, texts...)
	})
}

// With KeepOldKeys, what somebody seals with the old key is not lost, and
// DropOldKeys refuses to lose it.
func TestDropOldKeysLosesNothing(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		cfg := sealed(config(t, engine))
		s := open(t, cfg)
		row := secret.NewRowID()
		late, err := s.Codec().Seal(textAt(row[:]), []byte("late"))
		must(t, err)
		must(t, s.Rotate(ctx, key(1), storekit.RotateOptions{KeepOldKeys: true}))
		must(t, s.Update(ctx, func(c *sqlite.Conn) error {
			_, err := c.Exec(ctx, `INSERT INTO note (row, text) VALUES (?, ?)`, row[:], late)
			return err
		}))
		wantError(t, "DropOldKeys", s.DropOldKeys(ctx, key(1)), storekit.ErrOldKeysInUse)
		wantNotes(t, s, "late")
		must(t, s.Rotate(ctx, key(1), storekit.RotateOptions{}))
		wantNotes(t, s, "late")
	})
}

// Another process that has rotated is noticed at the next Resume, or by ReloadKeys.
func TestAnotherProcessesRotationIsNoticed(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		cfg := sealed(config(t, engine))
		a := &asked{give: key(1)}
		cfg.Secret = a.secret()
		s := open(t, cfg)
		add(t, s, "text")
		must(t, s.Pause(ctx))
		rotateElsewhere(t, cfg)
		a.give = key(1)
		must(t, s.Resume(ctx))
		wantNotes(t, s, "text")
		if a.n != 2 {
			t.Errorf("asked %d times, want once more for the new header", a.n)
		}
	})
}

// rotateElsewhere does what another process would: it works on a copy, and puts it in place.
func rotateElsewhere(t testing.TB, cfg storekit.Config) {
	t.Helper()
	path := cfg.Database.Path
	content, err := os.ReadFile(path)
	must(t, err)
	other := cfg
	other.Secret = key(1)
	other.Database.Path = filepath.Join(t.TempDir(), "copy.db")
	must(t, os.WriteFile(other.Database.Path, content, 0o600))
	s, err := storekit.Open(ctx, other)
	must(t, err)
	must(t, s.Rotate(ctx, key(1), storekit.RotateOptions{}))
	must(t, s.Close(ctx))
	content, err = os.ReadFile(other.Database.Path)
	must(t, err)
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_TRUNC, 0) // the same file, as SQLite would change it
	must(t, err)
	_, err = f.Write(content)
	must(t, errors.Join(err, f.Close()))
}
