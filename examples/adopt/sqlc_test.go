package adopt

import (
	"fmt"
	"testing"
)

// TestSQLC: plain database/sql, as sqlc writes it: alone, and in transactions.
func TestSQLC(t *testing.T) {
	onEveryWay(t, func(t *testing.T, d database) {
		_, err := d.Exec(notesSchema)
		must(t, err)
		queries := NewQueries(d.DB)

		counts := underPauses(t, d.store,
			func(n int) error {
				note, err := queries.CreateNote(ctx, CreateNoteParams{Author: "ann", Text: fmt.Sprint(n)})
				if err == nil && note.Text != fmt.Sprint(n) {
					err = fmt.Errorf("note %d came back as %+v", n, note)
				}
				return err
			},
			func(n int) error { // two notes or none, written under another name first
				tx, err := d.BeginTx(ctx, nil)
				if err != nil {
					return err
				}
				defer tx.Rollback() //nolint:errcheck // it is committed
				q := queries.WithTx(tx)
				for range 2 {
					if _, err := q.CreateNote(ctx, CreateNoteParams{Author: "draft", Text: fmt.Sprint(n)}); err != nil {
						return err
					}
				}
				renamed, err := q.RenameAuthor(ctx, RenameAuthorParams{Author: "bob", Author_2: "draft"})
				if err != nil {
					return err
				}
				if renamed != 2 {
					return fmt.Errorf("%d notes were renamed, want 2", renamed)
				}
				return tx.Commit()
			},
			func(int) error {
				notes, err := queries.ListNotes(ctx, "bob")
				if err == nil && len(notes)%2 != 0 {
					err = fmt.Errorf("%d notes are bob's: half a transaction", len(notes))
				}
				return err
			},
			func(int) error {
				drafts, err := queries.CountNotes(ctx, "draft")
				if err == nil && drafts != 0 {
					err = fmt.Errorf("%d drafts are visible outside of their transaction", drafts)
				}
				return err
			},
		)
		for author, want := range map[string]int{"ann": counts[0], "bob": 2 * counts[1]} {
			got, err := queries.CountNotes(ctx, author)
			must(t, err)
			equal(t, "notes of "+author, got, int64(want))
		}
	})
}
