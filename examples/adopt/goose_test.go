package adopt

import (
	"context"
	"database/sql"
	"fmt"
	"testing"
	"testing/fstest"

	"github.com/pressly/goose/v3"
)

// migrations: the third has to run outside of a transaction, because SQLite
// ignores PRAGMA foreign_keys within one. Were the setting lost in a pause, the
// DROP TABLE would delete the pages of every book.
var migrations = fstest.MapFS{
	"1_books.sql": {Data: []byte(`-- +goose Up
CREATE TABLE shelf (id INTEGER PRIMARY KEY, name TEXT);
CREATE TABLE page (id INTEGER PRIMARY KEY, shelf_id INTEGER NOT NULL REFERENCES shelf (id) ON DELETE CASCADE);
-- +goose Down
DROP TABLE page;
DROP TABLE shelf;
`)},
	"2_fill.sql": {Data: []byte(`-- +goose Up
INSERT INTO shelf (id, name) VALUES (1, 'a'), (2, 'b');
INSERT INTO page (shelf_id) VALUES (1), (1), (2);
-- +goose Down
DELETE FROM page;
DELETE FROM shelf;
`)},
	"3_rebuild.sql": {Data: []byte(`-- +goose NO TRANSACTION
-- +goose Up
PRAGMA foreign_keys = OFF;
CREATE TABLE shelf_new (id INTEGER PRIMARY KEY, name TEXT NOT NULL);
INSERT INTO shelf_new SELECT id, name FROM shelf;
DROP TABLE shelf;
ALTER TABLE shelf_new RENAME TO shelf;
PRAGMA foreign_keys = ON;
-- +goose Down
PRAGMA user_version = 0;
`)},
}

// TestGoose: migrations go up and down, in transactions and outside of them,
// while other goroutines use the database.
func TestGoose(t *testing.T) {
	onEveryWay(t, func(t *testing.T, d database) {
		_, err := d.Exec(notesSchema)
		must(t, err)
		queries := NewQueries(d.DB)
		inGo := goose.NewGoMigration(4,
			&goose.GoFunc{RunTx: func(ctx context.Context, tx *sql.Tx) error {
				_, err := tx.ExecContext(ctx, `UPDATE shelf SET name = name || '!'`)
				return err
			}},
			&goose.GoFunc{RunDB: func(ctx context.Context, db *sql.DB) error {
				_, err := db.ExecContext(ctx, `UPDATE shelf SET name = rtrim(name, '!')`)
				return err
			}})
		provider, err := goose.NewProvider(goose.DialectSQLite3, d.DB, migrations, goose.WithGoMigrations(inGo), goose.WithDisableGlobalRegistry(true))
		must(t, err)

		counts := underPauses(t, d.store,
			func(n int) error {
				if n%2 == 1 {
					down, err := provider.DownTo(ctx, 0)
					if err == nil && len(down) != 4 {
						err = fmt.Errorf("%d migrations went down, want 4", len(down))
					}
					return err
				}
				up, err := provider.Up(ctx)
				if err != nil {
					return err
				}
				var pages, loud int
				if err := d.QueryRow(`SELECT (SELECT count(*) FROM page), (SELECT count(*) FROM shelf WHERE name LIKE '%!')`).Scan(&pages, &loud); err != nil {
					return err
				}
				if len(up) != 4 || pages != 3 || loud != 2 {
					return fmt.Errorf("after %d migrations there are %d pages and %d shelves, want 4, 3 and 2", len(up), pages, loud)
				}
				return nil
			},
			func(n int) error {
				_, err := queries.CreateNote(ctx, CreateNoteParams{Author: "ann", Text: fmt.Sprint(n)})
				return err
			},
			func(int) error {
				_, err := queries.ListNotes(ctx, "ann")
				return err
			},
		)
		if _, err := provider.Up(ctx); err != nil {
			t.Fatal(err)
		}
		version, err := provider.GetDBVersion(ctx)
		must(t, err)
		equal(t, "the version", version, 4)
		got, err := queries.CountNotes(ctx, "ann")
		must(t, err)
		equal(t, "notes", got, int64(counts[1]))
	})
}
