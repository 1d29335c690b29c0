package kv_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/quiesce-go/quiesce/driver/sqlite"
	"github.com/quiesce-go/quiesce/internal/tier"
	"github.com/quiesce-go/quiesce/lifecycle"
	"github.com/quiesce-go/quiesce/storekit/codec"
	"github.com/quiesce-go/quiesce/storekit/kv"
	"github.com/quiesce-go/quiesce/storekit/secret"
)

// odd are keys, namespaces and values that a text or a careless encoding would not hold.
var odd = []string{"", "a", "A", "\x00", "a\x00", "a\x00b", "\xff\xfe", `"`, `\`, "'", "[]", "é", "version", "cipher", strings.Repeat("long", 500)}

func TestKeysAndValuesOfAnyBytes(t *testing.T) {
	onBoth(t, func(t *testing.T, on both) {
		table := kv.New(open(t, on.engine), on.codec, "test")
		want := map[string]string{}
		for i, k := range odd {
			_, err := table.Get(ctx, k)
			wantError(t, fmt.Sprintf("%.20q before it was set", k), err, kv.ErrNotFound)
			want[k] = odd[len(odd)-1-i]
			must(t, table.Set(ctx, k, []byte(want[k])))
		}
		for k, v := range want {
			if value := got[[]byte](t)(table.Get(ctx, k)); string(value) != v {
				t.Errorf("%.20q has %.20q, want %.20q", k, value, v)
			}
		}
		if all := list(t, table); !maps.Equal(all, want) {
			t.Errorf("All yields %.300q", all)
		}
		if n := got[int](t)(table.Len(ctx)); n != len(odd) {
			t.Errorf("Len is %d of %d", n, len(odd))
		}
	})
}

// TestNilIsStoredAsAnEmptyValue: the two cannot be told apart, in any store.
func TestNilIsStoredAsAnEmptyValue(t *testing.T) {
	onBoth(t, func(t *testing.T, on both) {
		table := kv.New(open(t, on.engine), on.codec, "test")
		must(t, table.Set(ctx, "set", nil))
		must(t, table.SetMany(ctx, map[string][]byte{"many": nil}))
		for _, k := range []string{"set", "many"} {
			if v := got[[]byte](t)(table.Get(ctx, k)); v == nil || len(v) > 0 {
				t.Errorf("%s: nil came back as %#v", k, v)
			}
			if v, ok := got[map[string][]byte](t)(table.GetMany(ctx, []string{k}))[k]; !ok || v == nil {
				t.Errorf("%s: nil came back from GetMany as %#v, %v", k, v, ok)
			}
		}
	})
}

func TestNamespacesDoNotMix(t *testing.T) {
	onBoth(t, func(t *testing.T, on both) {
		db := open(t, on.engine)
		for _, name := range odd {
			table := kv.New(db, on.codec, name)
			for _, k := range odd {
				must(t, table.Set(ctx, k, []byte(name+"/"+k)))
			}
		}
		must(t, kv.New(db, on.codec, "a").Clear(ctx))
		for _, name := range odd {
			table, want := kv.New(db, on.codec, name), map[string]string{}
			for _, k := range odd {
				if name != "a" {
					want[k] = name + "/" + k
				}
			}
			if all := list(t, table); !maps.Equal(all, want) || got[int](t)(table.Len(ctx)) != len(want) {
				t.Errorf("namespace %.20q: only its own keys may be seen or cleared, and it has %d, want %d", name, len(all), len(want))
			}
		}
	})
}

// TestAnyNumberOfKeys: 100,000 at once, where chunks of placeholders failed (CF-23).
func TestAnyNumberOfKeys(t *testing.T) {
	onBoth(t, func(t *testing.T, on both) {
		n := 100_000
		if raceEnabled && on.engine.Name() == "modernc" { // which is sixty times slower then
			n = tier.Count(3_000, 100_000, 100_000)
		}
		table := kv.New(open(t, on.engine), on.codec, "test")
		values, keys := map[string][]byte{}, make([]string, 0, n)
		for i := range n {
			k := fmt.Sprint("key\x00", i)
			keys = append(keys, k)
			values[k] = []byte(fmt.Sprint("value ", i))
		}
		must(t, table.SetMany(ctx, values))
		must(t, table.Set(ctx, "other", nil))
		found := got[map[string][]byte](t)(table.GetMany(ctx, append(keys, "missing", keys[0])))
		if !maps.EqualFunc(found, values, slices.Equal) {
			t.Errorf("of %d keys %d were found, or with another value", n, len(found))
		}
		if deleted := got[int](t)(table.DeleteMany(ctx, append(keys, "missing", keys[0]))); deleted != n || got[int](t)(table.Len(ctx)) != 1 {
			t.Errorf("of %d keys %d were deleted; no more and no less were to go", n, deleted)
		}
		for _, none := range [][]string{nil, {}} {
			if found := got[map[string][]byte](t)(table.GetMany(ctx, none)); found == nil || len(found) != 0 {
				t.Errorf("for no keys: %v", found)
			}
			if deleted := got[int](t)(table.DeleteMany(ctx, none)); deleted != 0 {
				t.Errorf("for no keys %d were deleted", deleted)
			}
		}
		must(t, table.SetMany(ctx, nil))
	})
}

// TestAnUpdateKeepsTheRow: what is sealed is bound to the row id, for its life.
func TestAnUpdateKeepsTheRow(t *testing.T) {
	onBoth(t, func(t *testing.T, on both) {
		db := open(t, on.engine)
		table := kv.New(db, on.codec, "test")
		row := func() (id []byte) {
			must(t, db.View(ctx, func(c *sqlite.Conn) error {
				return c.QueryRow(ctx, `SELECT row FROM storekit_kv`).Scan(&id)
			}))
			return id
		}
		must(t, table.Set(ctx, "a", []byte("1")))
		first := row()
		must(t, table.Set(ctx, "a", []byte("2")))
		must(t, table.SetMany(ctx, map[string][]byte{"a": []byte("3")}))
		if !slices.Equal(row(), first) || len(first) != 16 {
			t.Errorf("the row was %x and is %x", first, row())
		}
		got[bool](t)(table.Delete(ctx, "a"))
		must(t, table.Set(ctx, "a", []byte("4")))
		if slices.Equal(row(), first) {
			t.Errorf("a new row has the id of a deleted one: an old value would fit")
		}
	})
}

func TestDeleteSaysWhetherItWasThere(t *testing.T) {
	onBoth(t, func(t *testing.T, on both) {
		table := kv.New(open(t, on.engine), on.codec, "test")
		must(t, table.Set(ctx, "a", nil))
		first, second := got[bool](t)(table.Delete(ctx, "a")), got[bool](t)(table.Delete(ctx, "a"))
		if !first || second {
			t.Errorf("the first Delete said %v, the second %v", first, second)
		}
	})
}

var errUndo = errors.New("undo")

// TestInIsPartOfTheCallersTransaction: with the caller's own rows, or not at all.
func TestInIsPartOfTheCallersTransaction(t *testing.T) {
	onBoth(t, func(t *testing.T, on both) {
		db := open(t, on.engine)
		script(t, db, `CREATE TABLE note (text)`)
		table := kv.New(nil, on.codec, "test") // needs no database of its own
		change := func(end error) error {
			return db.Update(ctx, func(c *sqlite.Conn) error {
				_, err := c.Exec(ctx, `INSERT INTO note VALUES ('text')`)
				must(t, err)
				tx := table.In(c)
				must(t, tx.Set(ctx, "a", []byte("1")))
				must(t, tx.SetMany(ctx, map[string][]byte{"b": []byte("2"), "c": []byte("3")}))
				if all := list(t, tx); len(all) != 3 || string(got[[]byte](t)(tx.Get(ctx, "a"))) != "1" {
					t.Errorf("a transaction sees what it wrote, and not %q", all)
				}
				if n := got[int](t)(tx.DeleteMany(ctx, []string{"b", "x"})); n != 1 {
					t.Errorf("%d deleted", n)
				}
				return end
			})
		}
		state := func() (keys, notes int) {
			must(t, db.View(ctx, func(c *sqlite.Conn) error {
				keys = got[int](t)(table.In(c).Len(ctx))
				return c.QueryRow(ctx, `SELECT count(*) FROM note`).Scan(&notes)
			}))
			return keys, notes
		}
		wantError(t, "the callback's error", change(errUndo), errUndo)
		if keys, notes := state(); keys != 0 || notes != 0 {
			t.Errorf("after a roll-back there are %d keys and %d notes", keys, notes)
		}
		must(t, change(nil))
		if keys, notes := state(); keys != 2 || notes != 1 {
			t.Errorf("after a commit there are %d keys and %d notes", keys, notes)
		}
		_, err := table.Get(ctx, "a")
		wantError(t, "Get without a database", err, kv.ErrNoDB)
		wantError(t, "Set without a database", table.Set(ctx, "a", nil), kv.ErrNoDB)
	})
}

// TestSetManyIsAllOrNothing: with a value that cannot be stored, none is.
func TestSetManyIsAllOrNothing(t *testing.T) {
	onBoth(t, func(t *testing.T, on both) {
		db := open(t, on.engine)
		table := kv.New(db, on.codec, "test")
		script(t, db, `CREATE TRIGGER full BEFORE INSERT ON storekit_kv WHEN (SELECT count(*) FROM storekit_kv) >= 3 BEGIN SELECT RAISE(ABORT, 'full'); END`)
		values := map[string][]byte{}
		for i := range 10 {
			values[fmt.Sprint(i)] = nil
		}
		wantError(t, "SetMany", table.SetMany(ctx, values), sqlite.ErrConstraint)
		if n := got[int](t)(table.Len(ctx)); n != 0 {
			t.Errorf("%d keys were set by a call that failed", n)
		}
	})
}

// TestPauseInBetween: the same table goes on after a resume, and is refused meanwhile.
func TestPauseInBetween(t *testing.T) {
	onBoth(t, func(t *testing.T, on both) {
		db := open(t, on.engine)
		table := kv.New(db, on.codec, "test")
		calls := map[string]func() error{
			"Get":        func() error { _, err := table.Get(ctx, "a"); return err },
			"Set":        func() error { return table.Set(ctx, "a", []byte("1")) },
			"GetMany":    func() error { _, err := table.GetMany(ctx, []string{"a"}); return err },
			"SetMany":    func() error { return table.SetMany(ctx, map[string][]byte{"a": []byte("1")}) },
			"DeleteMany": func() error { _, err := table.DeleteMany(ctx, []string{"b"}); return err },
			"Delete":     func() error { _, err := table.Delete(ctx, "b"); return err },
			"Len":        func() error { _, err := table.Len(ctx); return err },
			"All": func() error {
				for _, err := range table.All(ctx) {
					return err
				}
				return nil
			},
			"Clear": func() error { return kv.New(db, on.codec, "other").Clear(ctx) },
		}
		must(t, table.Set(ctx, "a", []byte("1")))
		for range 3 {
			must(t, db.Pause(ctx))
			for name, call := range calls {
				wantError(t, name+" while paused", call(), lifecycle.ErrPaused)
			}
			must(t, db.Resume(ctx))
			for name, call := range calls {
				wantError(t, name+" after Resume", call(), nil)
			}
		}
		if all := list(t, table); !maps.Equal(all, map[string]string{"a": "1"}) {
			t.Errorf("after three pauses there is %q", all)
		}
	})
}

// TestALoopThatIsLeftHoldsNothing: by break, by panic, by an ended context.
func TestALoopThatIsLeftHoldsNothing(t *testing.T) {
	onBoth(t, func(t *testing.T, on both) {
		db := open(t, on.engine)
		table := kv.New(db, on.codec, "test")
		for i := range 100 {
			must(t, table.Set(ctx, fmt.Sprint(i), nil))
		}
		for range table.All(ctx) {
			break
		}
		func() {
			defer func() { _ = recover() }()
			for range table.All(ctx) {
				panic("in the loop's body")
			}
		}()
		ends, cancel := context.WithCancel(ctx)
		defer cancel()
		for range table.All(ends) {
			cancel() // whether the loop ends before its last row is a race
		}
		if held := db.Holders(); len(held) > 0 {
			t.Errorf("these still hold a connection: %v", held)
		}
		must(t, db.Pause(ctx))
		must(t, db.Resume(ctx))
	})
}

// TestCreateMayBeRepeated: with what is there kept.
func TestCreateMayBeRepeated(t *testing.T) {
	onBoth(t, func(t *testing.T, on both) {
		db := open(t, on.engine)
		table := kv.New(db, on.codec, "test")
		must(t, table.Set(ctx, "a", []byte("1")))
		for range 2 {
			must(t, db.Update(ctx, func(c *sqlite.Conn) error { return kv.Create(ctx, c) }))
		}
		if v := got[[]byte](t)(table.Get(ctx, "a")); string(v) != "1" {
			t.Errorf("it is %q now", v)
		}
	})
}

// TestWithoutItsCipherATableIsLocked: and wrote nothing meanwhile.
func TestWithoutItsCipherATableIsLocked(t *testing.T) {
	for _, engine := range engines {
		t.Run("engine="+engine.Name(), func(t *testing.T) {
			if engine.Name() == "mattn" && !withCgo {
				t.Skip("the mattn engine needs cgo")
			}
			c := codec.Sealed()
			table := kv.New(open(t, engine), c, "test")
			wantError(t, "Set", table.Set(ctx, "a", nil), secret.ErrLocked)
			wantError(t, "SetMany", table.SetMany(ctx, map[string][]byte{"a": nil}), secret.ErrLocked)
			_, err := table.Get(ctx, "a")
			wantError(t, "Get", err, secret.ErrLocked)
			_, err = table.GetMany(ctx, nil)
			wantError(t, "GetMany", err, secret.ErrLocked)
			for _, err := range table.All(ctx) {
				wantError(t, "All", err, secret.ErrLocked)
			}
			must(t, c.Use(newCipher(t)))
			if n := got[int](t)(table.Len(ctx)); n != 0 {
				t.Errorf("%d keys were written without a cipher", n)
			}
			must(t, table.Set(ctx, "a", nil))
		})
	}
}
