package storekit_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/fstest"

	"github.com/quiesce-go/quiesce/driver/sqlite"
	"github.com/quiesce-go/quiesce/lifecycle"
	"github.com/quiesce-go/quiesce/storekit"
	"github.com/quiesce-go/quiesce/storekit/secret"
)

// upper is a second step that needs Go: it rewrites every note.
func upper(t testing.TB) storekit.Migration {
	return storekit.Migration{Version: 2, Name: "upper case", Do: func(ctx context.Context, m *storekit.Migrator) error {
		type note struct{ row, text []byte }
		all, err := sqlite.Collect(m.Rows(ctx, `SELECT row, text FROM note`), func(r *sqlite.Row) (n note, err error) {
			err = r.Scan(&n.row, &n.text)
			return n, err
		})
		for i, n := range all {
			text, openErr := m.Codec.Open(textAt(n.row), n.text)
			stored, sealErr := m.Codec.Seal(textAt(n.row), []byte(upperOf(string(text))))
			_, execErr := m.Exec(ctx, `UPDATE note SET text = ? WHERE row = ?`, stored, n.row)
			err = errors.Join(err, openErr, sealErr, execErr)
			m.Progress(int64(i+1), int64(len(all)))
		}
		return err
	}}
}

func upperOf(s string) string {
	b := []byte(s)
	for i := range b {
		if 'a' <= b[i] && b[i] <= 'z' {
			b[i] -= 'a' - 'A'
		}
	}
	return string(b)
}

// A new database takes every step, an old one those that it has not seen, and one that has seen all none.
func TestMigrationsRunOnceAndInTheirOrder(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		for _, cfg := range []storekit.Config{config(t, engine), sealed(config(t, engine))} {
			s, err := storekit.Open(ctx, cfg)
			must(t, err)
			add(t, s, "first")
			must(t, s.Close(ctx))

			var told []storekit.Progress
			cfg.Progress = func(p storekit.Progress) { told = append(told, p) }
			cfg.Migrations = append(cfg.Migrations, upper(t), storekit.Migration{Version: 7, SQL: `CREATE TABLE tag (name); CREATE INDEX tags ON tag (name)`})
			for range 2 {
				s, err = storekit.Open(ctx, cfg)
				must(t, err)
				wantNotes(t, s, "FIRST")
				if v := version(t, s); v != 7 {
					t.Errorf("user_version is %d, want 7", v)
				}
				cycle(t, s)
				must(t, s.Close(ctx))
			}
			want := []storekit.Progress{
				{Operation: "migrate", Step: "2 (upper case)", Number: 2, Of: 3},
				{Operation: "migrate", Step: "2 (upper case)", Number: 2, Of: 3, Done: 1, Total: 1},
				{Operation: "migrate", Step: "2 (upper case)", Number: 2, Of: 3, Done: 1, Total: 1},
				{Operation: "migrate", Step: "7", Number: 3, Of: 3},
				{Operation: "migrate", Step: "7", Number: 3, Of: 3, Done: 1, Total: 1},
			}
			if !slices.Equal(told, want) {
				t.Errorf("progress was %+v\nwant %+v", told, want)
			}
		}
	})
}

// A step that fails leaves the version before it, whole; the next Open goes on from there.
func TestAFailedMigrationLeavesTheVersionBeforeIt(t *testing.T) {
	errStep := errors.New("the step's own")
	for _, c := range []struct {
		name string
		bad  storekit.Migration
		want error
	}{
		{"SQL", storekit.Migration{Version: 2, SQL: `DELETE FROM note; INSERT INTO nowhere VALUES (1)`}, nil},
		{"Go", storekit.Migration{Version: 2, SQL: `DELETE FROM note`, Do: func(context.Context, *storekit.Migrator) error { return errStep }}, errStep},
		{"a panic", storekit.Migration{Version: 2, SQL: `DELETE FROM note`, Do: func(context.Context, *storekit.Migrator) error { panic("the step's own") }}, nil},
		{"COMMIT in it", storekit.Migration{Version: 2, SQL: `DELETE FROM note; COMMIT`}, sqlite.ErrTransactionControl},
		{"a foreign key", storekit.Migration{Version: 2, ForeignKeysOff: true, SQL: `
			DELETE FROM note; CREATE TABLE tag (note BLOB REFERENCES note (row)); INSERT INTO tag VALUES (x'00')`}, storekit.ErrForeignKeys},
	} {
		t.Run(c.name, func(t *testing.T) {
			onEngines(t, func(t *testing.T, engine sqlite.Engine) {
				cfg := config(t, engine)
				s, err := storekit.Open(ctx, cfg)
				must(t, err)
				add(t, s, "kept")
				must(t, s.Close(ctx))

				with := cfg
				with.Migrations = append(with.Migrations, c.bad)
				_, err = storekit.Open(ctx, with)
				var failed *storekit.MigrationError
				var panicked *lifecycle.PanicError
				if !errors.As(err, &failed) && !errors.As(err, &panicked) || failed != nil && failed.Version != 2 {
					t.Errorf("Open: %v, want an error that names the step", err)
				}
				if c.want != nil {
					wantError(t, "Open", err, c.want)
				}
				s = open(t, cfg)
				wantNotes(t, s, "kept")
				if v := version(t, s); v != 1 {
					t.Errorf("user_version is %d, want the one before the step", v)
				}
			})
		})
	}
}

// An Open that was to make the store and fails leaves no file.
func TestAFailedFirstMigrationLeavesNoFile(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		cfg := config(t, engine)
		cfg.Migrations[0].SQL = `no SQL`
		_, err := storekit.Open(ctx, cfg)
		if !errors.As(err, new(*storekit.MigrationError)) {
			t.Errorf("Open: %v", err)
		}
		noFiles(t, cfg)
	})
}

// SQLite changes a table by making a new one, which foreign keys would object to.
func TestForeignKeysOffLetsATableBeRebuilt(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		cfg := config(t, engine)
		cfg.Migrations = append(cfg.Migrations,
			storekit.Migration{Version: 2, SQL: `CREATE TABLE tag (note BLOB REFERENCES note (row)); INSERT INTO note VALUES (x'01', 'text'); INSERT INTO tag VALUES (x'01')`},
			storekit.Migration{Version: 3, ForeignKeysOff: true, SQL: `
				CREATE TABLE new_note (row BLOB NOT NULL UNIQUE, text BLOB NOT NULL, at INTEGER);
				INSERT INTO new_note (row, text) SELECT row, text FROM note;
				DROP TABLE note;
				ALTER TABLE new_note RENAME TO note`})
		s := open(t, cfg)
		wantNotes(t, s, "text")
		err := s.Update(ctx, func(c *sqlite.Conn) error { return c.ExecScript(ctx, `DELETE FROM note`) })
		wantError(t, "foreign keys are checked again", err, sqlite.ErrConstraint)
	})
}

// A newer database is refused, at Open and at Resume.
func TestANewerDatabaseIsRefused(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		cfg := config(t, engine)
		newer := cfg
		newer.Migrations = append(newer.Migrations, storekit.Migration{Version: 2, SQL: `CREATE TABLE newer (x)`})
		s, err := storekit.Open(ctx, cfg)
		must(t, err)
		must(t, s.Pause(ctx))
		raise(t, engine, cfg.Database.Path, 2)
		wantError(t, "Resume", s.Resume(ctx), lifecycle.ErrSchemaNewer)
		must(t, s.Close(ctx))
		_, err = storekit.Open(ctx, cfg)
		wantError(t, "Open", err, lifecycle.ErrSchemaNewer)
	})
}

// raise sets the version of a database that a paused store of this process has.
func raise(t testing.TB, engine sqlite.Engine, path string, version int) {
	t.Helper()
	raw, err := engine.Open(path, sqlite.OpenOptions{})
	must(t, err)
	_, err = raw.ExecContext(ctx, `PRAGMA user_version = `+string(rune('0'+version)), nil)
	must(t, errors.Join(err, raw.Close()))
}

// A store that starts paused migrates at its first Resume, before anybody gets in.
func TestAResumeMigratesWhatItFinds(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		cfg := sealed(config(t, engine))
		s, err := storekit.Open(ctx, cfg)
		must(t, err)
		add(t, s, "text")
		must(t, s.Close(ctx))

		cfg.Migrations = append(cfg.Migrations, upper(t))
		cfg.Database.StartPaused = true
		s = open(t, cfg)
		_, err = s.Codec().Seal(textAt([]byte("row")), nil)
		wantError(t, "before the first Resume the cipher is not there", err, secret.ErrLocked)
		wantError(t, "paused", s.View(ctx, func(*sqlite.Conn) error { return nil }), lifecycle.ErrPaused)
		must(t, s.Resume(ctx))
		wantNotes(t, s, "TEXT")
		cycle(t, s)
		wantNotes(t, s, "TEXT")
	})
}

func TestMigrationsThatAreNoHistoryAreRefused(t *testing.T) {
	step := func(v int32) storekit.Migration { return storekit.Migration{Version: v, SQL: `SELECT 1`} }
	for name, all := range map[string][]storekit.Migration{
		"version 0": {step(0)}, "negative": {step(-1)}, "twice the same": {step(1), step(1)},
		"descending": {step(2), step(1)}, "nothing to do": {{Version: 1, SQL: " \n"}}, "no room after it": {step(1<<31 - 1)},
	} {
		cfg := config(t, engines[0])
		cfg.Migrations = all
		_, err := storekit.Open(ctx, cfg)
		wantError(t, name, err, storekit.ErrMigrations)
		noFiles(t, cfg)
	}
}

func TestFilesAreMigrations(t *testing.T) {
	fsys := fstest.MapFS{
		"sql/0002_tags.sql":  {Data: []byte(`CREATE TABLE tag (name)`)},
		"sql/0001_notes.sql": {Data: []byte(`CREATE TABLE note (row BLOB NOT NULL UNIQUE, text BLOB NOT NULL)`)},
		"sql/README":         {Data: []byte(`not a step`)},
		"bad/first.sql":      {Data: []byte(`SELECT 1`)},
	}
	all, err := storekit.Files(fsys, "sql")
	must(t, err)
	if len(all) != 2 || all[0].Version != 1 || all[0].Name != "notes" || all[1].Version != 2 {
		t.Errorf("the steps are %+v", all)
	}
	_, err = storekit.Files(fsys, "bad")
	wantError(t, "a name without a version", err, storekit.ErrMigrations)
	_, err = storekit.Files(fsys, "none")
	wantError(t, "no file", err, storekit.ErrMigrations)
	cfg := config(t, engines[0])
	cfg.Migrations = all
	if v := version(t, open(t, cfg)); v != 2 {
		t.Errorf("user_version is %d", v)
	}
}
