package storekit_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/quiesce-go/quiesce/driver/sqlite"
	"github.com/quiesce-go/quiesce/lifecycle"
	"github.com/quiesce-go/quiesce/storekit"
	"github.com/quiesce-go/quiesce/storekit/job"
	"github.com/quiesce-go/quiesce/storekit/secret"
)

// backup makes a backup of the store in a directory of the test's own.
func backup(t testing.TB, s *storekit.Store) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "backup")
	must(t, s.Backup(ctx, path, nil))
	return path
}

// A backup is taken beside readers and writers, of one moment; what it holds comes back, and nothing else.
func TestBackupAndRestore(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		for name, change := range map[string]func(storekit.Config) storekit.Config{
			"plain":     func(c storekit.Config) storekit.Config { return c },
			"encrypted": sealed,
			"everything": func(c storekit.Config) storekit.Config {
				c = sealed(c)
				c.Secret = secret.Ask(func(context.Context) (secret.Secret, error) { return key(1), nil })
				c.ForgetKeyOnPause, c.Leases, c.Database.IncrementalVacuum, c.Database.Checkpoint = true, true, true, sqlite.CheckpointNone
				return c
			},
		} {
			t.Run(name, func(t *testing.T) {
				s := open(t, change(config(t, engine)))
				add(t, s, "one", "two")
				var told, copied []storekit.Progress
				path := filepath.Join(t.TempDir(), "backup")
				must(t, s.Backup(ctx, path, func(p storekit.Progress) { told = append(told, p) }))
				wantError(t, "an existing file is never overwritten", s.Backup(ctx, path, nil), fs.ErrExist)
				add(t, s, "three")
				must(t, s.Restore(ctx, path, storekit.RestoreOptions{Progress: func(p storekit.Progress) { copied = append(copied, p) }}))
				wantNotes(t, s, "one", "two")
				for _, told := range [][]storekit.Progress{told, copied} {
					if len(told) == 0 || told[len(told)-1].Done == 0 || told[len(told)-1].Done != told[len(told)-1].Total {
						t.Errorf("progress was %+v", told)
					}
				}
				add(t, s, "four")
				cycle(t, s)
				wantNotes(t, s, "one", "two", "four")
				if left, _ := filepath.Glob(s.Path() + "-*restore*"); len(left) != 0 {
					t.Errorf("left are %v", left)
				}
				if _, err := os.Stat(path); err != nil {
					t.Errorf("the backup itself: %v", err)
				}
			})
		}
	})
}

// A backup of an older version is migrated before it takes the store's place.
func TestRestoreMigrates(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		cfg := sealed(config(t, engine))
		s, err := storekit.Open(ctx, cfg)
		must(t, err)
		add(t, s, "text")
		path := backup(t, s)
		must(t, s.Close(ctx))
		cfg.Migrations = append(cfg.Migrations, upper(t))
		s = open(t, cfg)
		add(t, s, "later")
		must(t, s.Restore(ctx, path, storekit.RestoreOptions{}))
		wantNotes(t, s, "TEXT")
		if v := version(t, s); v != 2 {
			t.Errorf("user_version is %d", v)
		}
	})
}

// What the store would not open, it does not take; it goes on as it was.
func TestRestoreRefusesWhatDoesNotFit(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		for _, c := range []struct {
			name   string
			backup func(t *testing.T, s *storekit.Store) string
			o      storekit.RestoreOptions
			want   error
		}{
			{"nothing", func(t *testing.T, _ *storekit.Store) string { return filepath.Join(t.TempDir(), "none") }, storekit.RestoreOptions{}, fs.ErrNotExist},
			{"a directory", func(t *testing.T, _ *storekit.Store) string { return t.TempDir() }, storekit.RestoreOptions{}, sqlite.ErrNotADatabase},
			{"no database", func(t *testing.T, _ *storekit.Store) string {
				path := filepath.Join(t.TempDir(), "text")
				must(t, os.WriteFile(path, []byte("this is not a database, by no means, whatever its name says"), 0o600))
				return path
			}, storekit.RestoreOptions{}, sqlite.ErrNotADatabase},
			{"half a backup", func(t *testing.T, s *storekit.Store) string {
				path := backup(t, s)
				info, err := os.Stat(path)
				must(t, err)
				must(t, os.Truncate(path, info.Size()/2))
				return path
			}, storekit.RestoreOptions{}, sqlite.ErrCorrupt},
			{"another store", func(t *testing.T, _ *storekit.Store) string {
				cfg := sealed(config(t, engine))
				cfg.Database.ApplicationID = 42
				return backup(t, open(t, cfg))
			}, storekit.RestoreOptions{}, storekit.ErrOtherStore},
			{"a newer version", func(t *testing.T, s *storekit.Store) string {
				path := backup(t, s)
				raise(t, engine, path, 2)
				return path
			}, storekit.RestoreOptions{}, lifecycle.ErrSchemaNewer},
			{"another application", func(t *testing.T, _ *storekit.Store) string {
				cfg := sealed(config(t, engine))
				cfg.Database.ApplicationID = 7
				return backup(t, open(t, cfg))
			}, storekit.RestoreOptions{OtherStore: true}, sqlite.ErrApplicationID},
			{"another secret", func(t *testing.T, _ *storekit.Store) string {
				cfg := sealed(config(t, engine))
				cfg.Database.ApplicationID = 42
				cfg.Secret = key(9)
				return backup(t, open(t, cfg))
			}, storekit.RestoreOptions{OtherStore: true}, secret.ErrWrongSecret},
			{"a plain store", func(t *testing.T, _ *storekit.Store) string {
				cfg := config(t, engine)
				cfg.Database.ApplicationID = 42
				return backup(t, open(t, cfg))
			}, storekit.RestoreOptions{OtherStore: true}, secret.ErrSuperfluousSecret},
			{"the store's own file", func(_ *testing.T, s *storekit.Store) string { return s.Path() }, storekit.RestoreOptions{}, sqlite.ErrInUse},
			{"a file with a log", func(t *testing.T, s *storekit.Store) string {
				path := backup(t, s)
				must(t, os.WriteFile(path+"-wal", []byte("log"), 0o600))
				return path
			}, storekit.RestoreOptions{}, storekit.ErrNotSelfContained},
			{"a file with a journal", func(t *testing.T, s *storekit.Store) string {
				path := backup(t, s)
				must(t, os.WriteFile(path+"-journal", []byte("journal"), 0o600))
				return path
			}, storekit.RestoreOptions{}, storekit.ErrNotSelfContained},
		} {
			t.Run(c.name, func(t *testing.T) {
				cfg := sealed(config(t, engine))
				cfg.Database.ApplicationID = 42
				s := open(t, cfg)
				add(t, s, "kept")
				generation := s.Generation()
				err := s.Restore(ctx, c.backup(t, s), c.o)
				if !errors.Is(err, c.want) && !(errors.Is(c.want, sqlite.ErrCorrupt) && errors.Is(err, sqlite.ErrNotADatabase)) {
					t.Errorf("Restore: %v, want %v", err, c.want)
				}
				wantNotes(t, s, "kept")
				if s.Generation() != generation {
					t.Error("the store was paused for a backup that it does not take")
				}
				if left, _ := filepath.Glob(filepath.Join(filepath.Dir(s.Path()), "*restore*")); len(left) != 0 {
					t.Errorf("left are %v", left)
				}
			})
		}
	})
}

// On a new device the backup is that of another store; and its secret may be an old one.
func TestRestoreOfAnotherStore(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		old := sealed(config(t, engine))
		old.Secret = key(5)
		from := open(t, old)
		add(t, from, "from the old device")
		path := backup(t, from)

		cfg := sealed(config(t, engine))
		s, err := storekit.Open(ctx, cfg)
		must(t, err)
		add(t, s, "new")
		must(t, s.Restore(ctx, path, storekit.RestoreOptions{OtherStore: true, Secret: key(5)}))
		wantNotes(t, s, "from the old device")
		cycle(t, s)
		must(t, s.Close(ctx))
		s = open(t, cfg) // with its own secret
		wantNotes(t, s, "from the old device")
		must(t, s.Rotate(ctx, key(1), storekit.RotateOptions{}))
		wantNotes(t, s, "from the old device")
	})
}

// Another process that has the database open would go on with the old file.
func TestRestoreBesideAnotherProcess(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		cfg := config(t, engine)
		cfg.Database.BusyTimeout = 50e6
		s := open(t, cfg)
		add(t, s, "one")
		path := backup(t, s)
		add(t, s, "two")
		other := startHolder(t, engine, s.Path())
		wantError(t, "Restore", s.Restore(ctx, path, storekit.RestoreOptions{}), sqlite.ErrInUse)
		wantNotes(t, s, "one", "two")
		other()
		must(t, s.Restore(ctx, path, storekit.RestoreOptions{}))
		wantNotes(t, s, "one")
	})
}

// A Pause during a Restore is obeyed, whenever it comes: nobody finds the store active afterwards.
func TestAPauseDuringARestoreIsObeyed(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		s := open(t, sealed(config(t, engine)))
		add(t, s, "one")
		path := backup(t, s)
		add(t, s, "two")
		stopping := make(chan struct{})
		paused := make(chan error, 1)
		_, err := s.Job(job.Job{Name: "pauser", Run: func(jobCtx context.Context) error {
			<-jobCtx.Done() // Restore is pausing the store
			select {
			case <-stopping:
			default:
				close(stopping)
				go func() { paused <- s.Pause(ctx) }()
			}
			return nil
		}})
		must(t, err)
		restored := s.Restore(ctx, path, storekit.RestoreOptions{})
		must(t, <-paused)
		if s.State() != lifecycle.Paused {
			t.Errorf("the store is %v after a Pause that returned nil", s.State())
		}
		must(t, s.Resume(ctx))
		if restored == nil {
			wantNotes(t, s, "one")
		} else {
			wantNotes(t, s, "one", "two")
		}
		must(t, s.Check(ctx, storekit.CheckOptions{Sealed: true}))
	})
}

func TestRestoreOfAPausedStoreIsRefused(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		s := open(t, config(t, engine))
		path := backup(t, s)
		must(t, s.Pause(ctx))
		wantError(t, "Restore", s.Restore(ctx, path, storekit.RestoreOptions{}), lifecycle.ErrPaused)
		wantError(t, "Backup", s.Backup(ctx, path+"2", nil), lifecycle.ErrPaused)
	})
}
