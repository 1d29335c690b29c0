package storekit_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/quiesce-go/quiesce/driver/sqlite"
	"github.com/quiesce-go/quiesce/internal/tier"
	"github.com/quiesce-go/quiesce/lifecycle"
	"github.com/quiesce-go/quiesce/storekit"
	"github.com/quiesce-go/quiesce/storekit/secret"
)

// A change of the secret that meets a pause does not wait for the Resume that waits for it.
func TestAResumeNeverWaitsForAChangeThatWaitsForIt(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		cfg := sealed(config(t, engine))
		cfg.Secret, cfg.ForgetKeyOnPause = ask(1), true
		cfg.Database.WhenPaused, cfg.Database.Timeout = lifecycle.Wait, patience/4
		s := open(t, cfg)
		paused := make(chan struct{})
		next := secret.Ask(func(context.Context) (secret.Secret, error) {
			defer close(paused) // whatever Pause says
			return key(2), s.Pause(ctx)
		})
		changed := make(chan error, 1)
		go func() { changed <- s.ChangeSecret(ctx, cfg.Secret, next) }()
		<-paused
		must(t, s.Resume(ctx))
		wantError(t, "ChangeSecret", <-changed, lifecycle.ErrPaused)
		must(t, s.ChangeSecret(ctx, ask(1), ask(2)))
		cycle(t, s)
	})
}

// A change of the secret beside Resumes and ReloadKeys: neither meets the new header with the old secret, or the other way round.
func TestTheSecretAndItsHeaderChangeTogether(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		for name, beside := range map[string]func(s *storekit.Store) error{
			"reload": func(s *storekit.Store) error { return s.ReloadKeys(ctx) },
			"resume": func(s *storekit.Store) error {
				if err := s.Pause(ctx); err != nil {
					return err
				}
				return s.Resume(ctx)
			},
		} {
			t.Run(name, func(t *testing.T) {
				cfg := sealed(config(t, engine))
				cfg.Secret, cfg.ForgetKeyOnPause = ask(1), true
				s := open(t, cfg)
				stop, ended := make(chan struct{}), make(chan struct{})
				go func() {
					defer close(ended)
					for {
						if err := beside(s); err != nil {
							t.Errorf("beside a change of the secret: %v", err)
						}
						select {
						case <-stop:
							return
						default:
						}
					}
				}()
				a, b := byte(1), byte(2)
				late := time.Now().Add(patience)
				for n := tier.Count(8, 300, 3000); n > 0 && time.Now().Before(late); {
					switch err := s.ChangeSecret(ctx, ask(a), ask(b)); {
					case err == nil:
						a, b = b, a
						n--
					case !errors.Is(err, lifecycle.ErrPaused):
						t.Errorf("ChangeSecret: %v", err)
						n = 0
					}
				}
				close(stop)
				<-ended
			})
		}
	})
}

// Rotate and Check take every row that they can, and say which they cannot. Rotate ends.
func TestRotateEndsWhateverTheRowsAre(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		for _, c := range []struct {
			name, row string
			id        any
			text      any // what stands there instead of a value that was sealed
			after     string
			want      error // of Rotate
			unsound   bool  // says Check
		}{
			{name: "text", row: "TEXT NOT NULL UNIQUE", id: "abc"},
			{name: "an empty row id", row: "BLOB NOT NULL UNIQUE", id: []byte{}},
			{name: "an empty text", row: "TEXT NOT NULL UNIQUE", id: ""},
			{name: "an integer", row: "INTEGER PRIMARY KEY", id: int64(7), want: storekit.ErrSealedColumn, unsound: true},
			{name: "null", row: "BLOB UNIQUE", id: nil, want: storekit.ErrSealedColumn, unsound: true},
			{name: "a value that is text", row: "BLOB NOT NULL UNIQUE", id: []byte("abc"), want: storekit.ErrSealedColumn, unsound: true,
				text: "clear"},
			{name: "a stream", row: "BLOB NOT NULL UNIQUE", id: []byte("abc"), want: secret.ErrVersion, unsound: true,
				text: append([]byte{2, 0, 0, 0, 1}, make([]byte, 64)...)},
			{name: "a stream of the newest key", row: "BLOB NOT NULL UNIQUE", id: []byte("abc"), want: storekit.ErrSealedColumn, unsound: true,
				text: append([]byte{2, 0, 0, 0, 2}, make([]byte, 64)...)},
			{name: "somebody who seals on with the old key", row: "BLOB NOT NULL UNIQUE", id: []byte("abc"), want: storekit.ErrOldKeysInUse,
				after: `CREATE TRIGGER back AFTER UPDATE ON note BEGIN UPDATE note SET text = OLD.text WHERE row = NEW.row; END`},
		} {
			t.Run(c.name, func(t *testing.T) {
				cfg := sealed(config(t, engine))
				cfg.Migrations = []storekit.Migration{{Version: 1, Name: "notes", SQL: fmt.Sprintf(`CREATE TABLE note (row %s, text BLOB NOT NULL)`, c.row)}}
				s := open(t, cfg)
				row, _ := c.id.([]byte)
				if text, is := c.id.(string); is {
					row = []byte(text)
				}
				must(t, s.Update(ctx, func(conn *sqlite.Conn) error {
					text := c.text
					if text == nil {
						v, err := s.Codec().Seal(textAt(row), []byte("hello"))
						must(t, err)
						text = v
					}
					if _, err := conn.Exec(ctx, `INSERT INTO note (row, text) VALUES (?, ?)`, c.id, text); err != nil || c.after == "" {
						return err
					}
					return conn.ExecScript(ctx, c.after)
				}))
				err := s.Check(ctx, storekit.CheckOptions{Sealed: true})
				if c.unsound {
					wantError(t, "Check", err, sqlite.ErrCorrupt)
				} else {
					must(t, err)
				}
				bounded, cancel := context.WithTimeout(ctx, patience/6)
				defer cancel()
				err = s.Rotate(bounded, key(1), storekit.RotateOptions{})
				if !errors.Is(err, c.want) {
					t.Errorf("Rotate: %v, want %v", err, c.want)
				}
				if c.want == nil {
					must(t, s.Check(ctx, storekit.CheckOptions{Sealed: true}))
					must(t, s.DropOldKeys(ctx, key(1)))
				}
			})
		}
	})
}

// A path through a symbolic link is that of the file: so are the log's, and the leases'.
func TestALinkIsItsFile(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		cfg := config(t, engine)
		cfg.Leases = true
		s := open(t, cfg)
		if _, ok, err := s.Leases().Take(ctx, "k", "A", time.Hour); !ok || err != nil {
			t.Fatalf("Take: %v, %v", ok, err)
		}
		must(t, s.Close(ctx))
		for _, later := range []bool{false, true} {
			link := filepath.Join(t.TempDir(), "link.db")
			if err := os.Symlink(cfg.Database.Path, link); err != nil {
				t.Skipf("no symbolic links here: %v", err)
			}
			cfg := cfg
			cfg.Database.Path, cfg.Database.StartPaused = link, later
			s = open(t, cfg)
			must(t, s.Resume(ctx))
			add(t, s, "one")
			if _, ok, err := s.Leases().Take(ctx, "k", "B", time.Hour); ok || err != nil {
				t.Errorf("two holders have one key: %v, %v", ok, err)
			}
			size, err := s.Size(ctx)
			if err != nil || size.Log == 0 || size.Leases == 0 {
				t.Errorf("the size is %+v (%v), want one with a log and leases", size, err)
			}
			if left, _ := filepath.Glob(link + "-*"); len(left) != 0 {
				t.Errorf("beside the link lie %v", left)
			}
			must(t, s.Close(ctx))
		}
	})
}
