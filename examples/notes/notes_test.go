package notes_test

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/quiesce-go/quiesce/driver/sqlite"
	"github.com/quiesce-go/quiesce/examples/notes"
	"github.com/quiesce-go/quiesce/lifecycle"
	"github.com/quiesce-go/quiesce/storekit"
	"github.com/quiesce-go/quiesce/storekit/secret"
)

// TestAllStoresGiveTheSameAnswers: which store it is, on which engine, encrypted or not, cannot be told by what it answers.
func TestAllStoresGiveTheSameAnswers(t *testing.T) {
	all := []notes.Note{
		{ID: "1", Text: "Milk and bread", Tags: []string{"shopping", "home"}},
		{ID: "2", Text: "bread, BREAD; and the Straße nach Köln", Tags: []string{"shopping"}},
		{ID: "3", Text: "", Tags: []string{"Shopping", "shopping", "shopping", "", "two words", "#", "a\x00b"}},
		{ID: "@4", Text: "#home @1 42 naïve"},
		{ID: " \x00", Text: "an id of any text"},
	}
	onStores(t, func(t *testing.T, s notes.Store) {
		for _, n := range slices.Concat([]notes.Note{{ID: "1", Text: "cheese", Tags: []string{"old"}}}, all, all[1:2]) {
			must(t, s.Add(ctx, n))
		}
		want := func(what string, got []notes.Note, err error, ids ...string) {
			t.Helper()
			slices.SortFunc(got, func(a, b notes.Note) int { return cmp.Compare(a.ID, b.ID) })
			var expected []notes.Note
			for _, n := range all {
				if slices.Contains(ids, n.ID) {
					expected = append(expected, n)
				}
			}
			if diff := gocmp.Diff(expected, got, cmpopts.EquateEmpty()); diff != "" || err != nil {
				t.Errorf("%s (%v): - is what every store answers, + what this one does\n%s", what, err, diff)
			}
		}
		answers := func() {
			t.Helper()
			for _, n := range all {
				got, err := s.Get(ctx, n.ID)
				want("get "+n.ID, []notes.Note{got}, err, n.ID)
			}
			for _, c := range []struct {
				tags []string
				ids  []string
			}{
				{[]string{"shopping"}, []string{"1", "2", "3"}},
				{[]string{"shopping", "home"}, []string{"1"}},
				{[]string{"shopping", "shopping"}, []string{"1", "2", "3"}},
				{[]string{"Shopping"}, []string{"3"}},
				{[]string{""}, []string{"3"}},
				{[]string{"#"}, []string{"3"}},
				{[]string{"two words"}, []string{"3"}},
				{[]string{"a\x00b"}, []string{"3"}},
				{[]string{"shop"}, nil},
				{[]string{"milk"}, nil},
				{[]string{"old"}, nil},
				{[]string{"shopping", "none"}, nil},
				{nil, nil},
			} {
				got, err := s.Tagged(ctx, c.tags...)
				want("tagged "+strings.Join(c.tags, ", "), got, err, c.ids...)
			}
			for _, c := range []struct {
				text string
				ids  []string
			}{
				{"bread", []string{"1", "2"}},
				{"BREAD and", []string{"1", "2"}},
				{"and, and... and!", []string{"1", "2"}},
				{"milk bread", []string{"1"}},
				{"STRASSE", nil},
				{"straße KÖLN", []string{"2"}},
				{"42", []string{"@4"}},
				{"NAÏVE", []string{"@4"}},
				{"home", []string{"@4"}},
				{"brea", nil},
				{"shopping", nil},
				{"cheese", nil},
				{"bread cheese", nil},
				{"", nil},
				{"#@ !", nil},
			} {
				got, err := s.Find(ctx, c.text)
				want("find "+c.text, got, err, c.ids...)
			}
			for _, id := range []string{"", "none", "4", "@1", "shopping", "\xff"} {
				if _, err := s.Get(ctx, id); !errors.Is(err, notes.ErrNotFound) {
					t.Errorf("get %q: %v, want ErrNotFound", id, err)
				}
			}
		}
		answers()
		for _, n := range []notes.Note{{Text: "no id"}, {ID: "\xff"}, {ID: "5", Text: "\xff"}, {ID: "5", Tags: []string{"\xff"}}} {
			if err := s.Add(ctx, n); !errors.Is(err, notes.ErrNote) {
				t.Errorf("add %+q: %v, want ErrNote", n, err)
			}
		}
		must(t, s.Remove(ctx, "none"))
		answers()
		must(t, s.Pause(ctx))
		must(t, s.Resume(ctx))
		answers()
		must(t, s.Remove(ctx, "2"))
		all = slices.DeleteFunc(slices.Clone(all), func(n notes.Note) bool { return n.ID == "2" })
		_, err := s.Get(ctx, "2")
		if !errors.Is(err, notes.ErrNotFound) {
			t.Errorf("get what was removed: %v, want ErrNotFound", err)
		}
		got, err := s.Find(ctx, "bread")
		want("find after Remove", got, err, "1")
	})
}

// TestANoteIsNotSharedWithItsCaller: what a caller does to his note later changes nothing in the store.
func TestANoteIsNotSharedWithItsCaller(t *testing.T) {
	onStores(t, func(t *testing.T, s notes.Store) {
		n := notes.Note{ID: "1", Tags: []string{"a", "b"}}
		must(t, s.Add(ctx, n))
		n.Tags[0] = "changed"
		got, err := s.Get(ctx, "1")
		must(t, err)
		got.Tags[1] = "changed"
		if got, err := s.Tagged(ctx, "a", "b"); err != nil || len(got) != 1 {
			t.Errorf("after the caller changed his own note, the store finds %v (%v) by its tags, want the note as it was added", got, err)
		}
	})
}

// TestInJoinsTheCallersTransaction: what is done through In is committed together, or not at all.
func TestInJoinsTheCallersTransaction(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		s := open(t, config(t, engine))
		own := errors.New("the caller's own error")
		for _, c := range []struct {
			id   string
			end  error
			want error
		}{{"committed", nil, nil}, {"rolled back", own, notes.ErrNotFound}} {
			err := s.Update(ctx, func(conn *sqlite.Conn) error {
				in := s.In(conn)
				must(t, in.Add(ctx, notes.Note{ID: c.id, Text: "seen inside"}))
				if _, err := in.Get(ctx, c.id); err != nil {
					t.Errorf("inside the transaction that added it, the note is not there: %v", err)
				}
				return c.end
			})
			if !errors.Is(err, c.end) {
				t.Errorf("the transaction returned %v, want %v", err, c.end)
			}
			if _, err := s.Get(ctx, c.id); !errors.Is(err, c.want) {
				t.Errorf("a note that was %s: Get returned %v, want %v", c.id, err, c.want)
			}
		}
	})
}

// TestAStoreThatForgetsItsKeysWaits: a call that waits for a Resume hashes and seals
// when its turn comes, with the keys of that moment.
func TestAStoreThatForgetsItsKeysWaits(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		cfg := config(t, engine)
		cfg.Secret = secret.Ask(func(context.Context) (secret.Secret, error) { return key(), nil })
		cfg.ForgetKeyOnPause, cfg.Database.WhenPaused = true, lifecycle.Wait
		s := open(t, cfg)
		must(t, s.Pause(ctx))
		added := make(chan error, 1)
		go func() { added <- s.Add(ctx, notes.Note{ID: "1", Text: "late"}) }()
		must(t, s.Resume(ctx))
		must(t, <-added)
		got, err := s.Find(ctx, "late")
		if err != nil || len(got) != 1 {
			t.Errorf("found %v (%v), want the note that was added while the store was paused", got, err)
		}
	})
}

// TestOldNotesAreFoundByTheirWords: the migration in Go brings the notes of the schema before it along.
func TestOldNotesAreFoundByTheirWords(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		cfg := config(t, engine)
		s, err := notes.OpenSQLite(ctx, cfg)
		must(t, err)
		must(t, s.Add(ctx, notes.Note{ID: "1", Tags: []string{"old"}})) // without words: as version 2 would have stored any
		must(t, s.Update(ctx, func(c *sqlite.Conn) error {
			if err := s.In(c).Add(ctx, notes.Note{ID: "2", Text: "Milk and bread", Tags: []string{"old"}}); err != nil {
				return err
			}
			keep, err := s.Codec().KeyString("notes.token", "@2")
			if err != nil {
				return err
			}
			_, err = c.Exec(ctx, `DELETE FROM token WHERE token <> ? AND note = (SELECT note FROM token WHERE token = ?)`, keep, keep)
			return errors.Join(err, c.ExecScript(ctx, `PRAGMA user_version = 2`))
		}))
		if got, err := s.Find(ctx, "bread"); err != nil || len(got) != 0 {
			t.Fatalf("the notes of version 2 are found by their words before the migration: %v (%v)", got, err)
		}
		must(t, s.Close(ctx))

		s = open(t, cfg)
		if got, err := s.Find(ctx, "bread"); err != nil || len(got) != 1 || got[0].ID != "2" {
			t.Errorf("after the migration, the note of version 2 is not found by its words: %v (%v)", got, err)
		}
		if got, err := s.Tagged(ctx, "old"); err != nil || len(got) != 2 {
			t.Errorf("after the migration, the tags find %v (%v), want both notes", got, err)
		}
		must(t, s.Check(ctx, storekit.CheckOptions{Sealed: true}))
	})
}
