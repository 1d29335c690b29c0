package memory_test

import (
	"context"
	"errors"
	"iter"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/go-memdb"

	"github.com/quiesce-go/quiesce/driver/memory"
	"github.com/quiesce-go/quiesce/lifecycle"
)

var errOwn = errors.New("the callback's own error")

func TestAReaderBegunBeforeACommitDoesNotSeeIt(t *testing.T) {
	bothModes(t, func(t *testing.T, strict bool) {
		db := open(t, memory.Config{Strict: strict})
		put(t, db, "1")
		err := db.Read(bg, func(tx *memory.Txn) error {
			put(t, db, "2")
			if got := idsIn(t, tx); got != "1" {
				t.Errorf("a snapshot shows %q after a later commit; it stays what it was when the Read began: \"1\"", got)
			}
			if got := stored(t, db); got != "1 2" {
				t.Errorf("a Read begun after the commit shows %q; want \"1 2\"", got)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	})
}

func TestAWriterSeesItsOwnChangesAndNobodyElseDoes(t *testing.T) {
	bothModes(t, func(t *testing.T, strict bool) {
		db := open(t, memory.Config{Strict: strict})
		err := db.Write(bg, func(tx *memory.Txn) error {
			if err := users.Insert(tx, &user{ID: "1", Team: "a"}); err != nil {
				return err
			}
			if got := idsIn(t, tx); got != "1" {
				t.Errorf("the transaction shows %q; it sees its own changes", got)
			}
			if got := stored(t, db); got != "" {
				t.Errorf("others see %q before the commit", got)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if got := stored(t, db); got != "1" {
			t.Errorf("%q is stored after a Write that returned nil; want \"1\"", got)
		}
	})
}

func TestAWriteThatDoesNotReturnNilRollsBack(t *testing.T) {
	ends := map[string]struct {
		leave func() error
		check func(t *testing.T, err error, panicked any, returned bool)
	}{
		"error": {
			func() error { return errOwn },
			func(t *testing.T, err error, _ any, _ bool) {
				if !errors.Is(err, errOwn) {
					t.Errorf("Write returned %v; it returns the callback's error", err)
				}
			},
		},
		"panic": {
			func() error { panic(errOwn) },
			func(t *testing.T, _ error, panicked any, _ bool) {
				if panicked != errOwn {
					t.Errorf("Write panicked with %v; it passes the callback's panic on", panicked)
				}
			},
		},
		"Goexit": {
			func() error { runtime.Goexit(); return nil },
			func(t *testing.T, _ error, panicked any, returned bool) {
				if panicked != nil || returned {
					t.Errorf("panic %v, returned %v; Goexit ends the goroutine", panicked, returned)
				}
			},
		},
	}
	for name, end := range ends {
		t.Run(name, func(t *testing.T) {
			bothModes(t, func(t *testing.T, strict bool) {
				db := open(t, memory.Config{Strict: strict})
				put(t, db, "1")
				var (
					err      error
					panicked any
					returned bool
				)
				done := make(chan struct{})
				go func() {
					defer close(done)
					defer func() { panicked = recover() }()
					err = db.Write(bg, func(tx *memory.Txn) error {
						if err := users.Insert(tx, &user{ID: "2", Team: "a"}); err != nil {
							return err
						}
						if err := users.Delete(tx, &user{ID: "1"}); err != nil {
							return err
						}
						return end.leave()
					})
					returned = true
				}()
				<-done
				end.check(t, err, panicked, returned)
				if got := stored(t, db); got != "1" {
					t.Errorf("%q is stored; a Write that did not return nil has changed nothing", got)
				}
				put(t, db, "3") // the next writer gets in
			})
		})
	}
}

func TestAReadIsReadOnly(t *testing.T) {
	bothModes(t, func(t *testing.T, strict bool) {
		db := open(t, memory.Config{Strict: strict})
		put(t, db, "1")
		for _, s := range statements {
			err := db.Read(bg, s.run)
			if s.changes && !errors.Is(err, memory.ErrReadOnly) {
				t.Errorf("%s in a Read: %v; want ErrReadOnly", s.name, err)
			}
			if !s.changes && err != nil {
				t.Errorf("%s in a Read: %v", s.name, err)
			}
		}
		if got := stored(t, db); got != "1" {
			t.Errorf("%q is stored after Reads", got)
		}
	})
}

func TestAKeptTxnIsRefused(t *testing.T) {
	bothModes(t, func(t *testing.T, strict bool) {
		db := open(t, memory.Config{Strict: strict})
		put(t, db, "1", "2")
		for _, write := range []bool{false, true} {
			var kept *memory.Txn
			var next func() (*user, error, bool)
			keep := func(tx *memory.Txn) error {
				kept = tx
				var stop func()
				next, stop = iter.Pull2(users.Get(tx, "id"))
				t.Cleanup(stop)
				_, err, _ := next()
				return err
			}
			run := db.Read
			if write {
				run = db.Write
			}
			if err := run(bg, keep); err != nil {
				t.Fatal(err)
			}
			for _, s := range statements {
				if err := s.run(kept); !errors.Is(err, memory.ErrReleased) {
					t.Errorf("%s on a Txn that was kept (write %v): %v; want ErrReleased", s.name, write, err)
				}
			}
			if u, err, _ := next(); !errors.Is(err, memory.ErrReleased) {
				t.Errorf("the next row of an iteration that was kept (write %v): %v, %v; want ErrReleased", write, u, err)
			}
		}
		if got := stored(t, db); got != "1 2" {
			t.Errorf("%q is stored; a kept Txn touches nothing", got)
		}
	})
}

func TestTheEndOfTheContextStopsAnOperationBetweenStatements(t *testing.T) {
	cause := errors.New("the cause")
	bothModes(t, func(t *testing.T, strict bool) {
		db := open(t, memory.Config{Strict: strict})
		put(t, db, "1")
		for _, s := range statements {
			ctx, cancel := context.WithCancelCause(bg)
			err := db.Write(ctx, func(tx *memory.Txn) error {
				if err := users.Insert(tx, &user{ID: "2", Team: "a"}); err != nil {
					return err
				}
				cancel(cause)
				return s.run(tx)
			})
			for _, want := range []error{lifecycle.ErrInterrupted, context.Canceled, cause} {
				if !errors.Is(err, want) {
					t.Errorf("%s after its context had ended: %v; it matches %q", s.name, err, want)
				}
			}
		}
		if got := stored(t, db); got != "1" {
			t.Errorf("%q is stored; an interrupted Write changes nothing", got)
		}
	})
}

func TestAnInterruptedWriteIsNotCommittedEvenIfItsCallbackReturnsNil(t *testing.T) {
	bothModes(t, func(t *testing.T, strict bool) {
		db := open(t, memory.Config{Strict: strict})
		ctx, cancel := context.WithCancel(bg)
		err := db.Write(ctx, func(tx *memory.Txn) error {
			err := users.Insert(tx, &user{ID: "1", Team: "a"})
			cancel()
			return err
		})
		if !errors.Is(err, lifecycle.ErrInterrupted) || !errors.Is(err, context.Canceled) {
			t.Errorf("Write returned %v; want ErrInterrupted and the context's error", err)
		}
		if got := stored(t, db); got != "" {
			t.Errorf("%q is stored", got)
		}
	})
}

func TestAnIterationStopsWithAnErrorWhenItIsInterrupted(t *testing.T) {
	bothModes(t, func(t *testing.T, strict bool) {
		db := open(t, memory.Config{Strict: strict})
		put(t, db, "1", "2", "3")
		ctx, cancel := context.WithCancel(bg)
		seen := 0
		err := db.Read(ctx, func(tx *memory.Txn) error {
			for _, err := range users.Get(tx, "id") {
				if err != nil {
					return err
				}
				seen++
				cancel()
			}
			return nil
		})
		if seen != 1 || !errors.Is(err, lifecycle.ErrInterrupted) {
			t.Errorf("%d rows, then %v; an interrupted iteration ends with ErrInterrupted, never as if it were complete", seen, err)
		}
	})
}

func TestAnIterationIsNotMovedByChangesInItsBody(t *testing.T) {
	bothModes(t, func(t *testing.T, strict bool) {
		for _, before := range []bool{false, true} {
			db := open(t, memory.Config{Strict: strict})
			put(t, db, "1", "2", "3")
			var seen []string
			err := db.Write(bg, func(tx *memory.Txn) error {
				if before { // the index is modified already when the iteration begins
					if err := users.Insert(tx, &user{ID: "4", Team: "a"}); err != nil {
						return err
					}
				}
				for u, err := range users.Get(tx, "id") {
					if err != nil {
						return err
					}
					seen = append(seen, u.ID)
					if _, err := users.DeleteAll(tx, "id"); err != nil {
						return err
					}
					if err := users.Insert(tx, &user{ID: "5" + u.ID, Team: "a"}); err != nil {
						return err
					}
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			want, left := "1 2 3", "53"
			if before {
				want, left = "1 2 3 4", "54"
			}
			if got := strings.Join(seen, " "); got != want {
				t.Errorf("the loop saw %q; want the rows of its beginning, %q", got, want)
			}
			if got := stored(t, db); got != left {
				t.Errorf("%q is stored; want %q", got, left)
			}
		}
	})
}

// moody is an indexer that does with some rows what an indexer must not do.
type moody struct {
	memdb.StringFieldIndex
	cancel func()
}

func (m *moody) FromObject(row any) (bool, []byte, error) {
	switch row.(*user).Team {
	case "cancels":
		m.cancel()
	case "fails":
		return false, nil, errOwn
	case "panics":
		panic(errOwn)
	}
	return m.StringFieldIndex.FromObject(row)
}

func TestAFailedChangeIsTheTransactionsDeath(t *testing.T) {
	bothModes(t, func(t *testing.T, strict bool) {
		for _, team := range []string{"", "fails", "panics"} { // "" has no value in a required index
			s := schema()
			s.Tables["users"].Indexes["team"].Indexer = &moody{StringFieldIndex: memdb.StringFieldIndex{Field: "Team"}}
			db := open(t, memory.Config{Strict: strict, Schema: s})
			put(t, db, "1")
			err := db.Write(bg, func(tx *memory.Txn) error {
				var first error
				func() {
					defer func() { _ = recover() }()
					first = users.Insert(tx, &user{ID: "2", Team: team})
				}()
				if team != "panics" && first == nil {
					t.Errorf("team %q: Insert returned nil", team)
				}
				for _, s := range statements {
					err := s.run(tx)
					if err == nil || first != nil && err.Error() != first.Error() {
						t.Errorf("team %q: %s after a failed change: %v; it returns the first error: %v", team, s.name, err, first)
					}
				}
				return nil
			})
			if err == nil {
				t.Errorf("team %q: Write returned nil; half of an Insert must not be committed", team)
			}
			if got := stored(t, db); got != "1" {
				t.Errorf("team %q: %q is stored", team, got)
			}
		}
	})
}

func TestARefusedStatementIsNotTheTransactionsDeath(t *testing.T) {
	bothModes(t, func(t *testing.T, strict bool) {
		db := open(t, memory.Config{Strict: strict})
		err := db.Write(bg, func(tx *memory.Txn) error {
			if err := users.Delete(tx, &user{ID: "nobody"}); !errors.Is(err, memory.ErrNotFound) {
				t.Errorf("Delete of a row that is not there: %v; want ErrNotFound", err)
			}
			for _, row := range []any{nil, (*user)(nil)} {
				if err := tx.Insert("users", row); !errors.Is(err, memory.ErrNilRow) {
					t.Errorf("Insert(%#v): %v; want ErrNilRow", row, err)
				}
				if err := tx.Delete("users", row); !errors.Is(err, memory.ErrNilRow) {
					t.Errorf("Delete(%#v): %v; want ErrNilRow", row, err)
				}
			}
			if _, err := tx.First("nowhere", "id"); err == nil {
				t.Error("First in a table that is not there returned nil")
			}
			if err := drain(users.Get(tx, "nothing")); err == nil {
				t.Error("Get with an index that is not there returned nil")
			}
			return users.Insert(tx, &user{ID: "1", Team: "a"})
		})
		if err != nil {
			t.Errorf("Write: %v", err)
		}
		if got := stored(t, db); got != "1" {
			t.Errorf("%q is stored", got)
		}
	})
}

func TestDeleteAllCountsARowOnce(t *testing.T) {
	db := open(t, memory.Config{})
	err := db.Write(bg, func(tx *memory.Txn) error {
		if err := users.Insert(tx, &user{ID: "1", Team: "a", Tags: []string{"x", "y"}}); err != nil {
			return err
		}
		n, err := users.DeleteAll(tx, "tags") // the row stands in this index twice
		if n != 1 {
			t.Errorf("DeleteAll counted %d rows; want 1", n)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := stored(t, db); got != "" {
		t.Errorf("%q is stored", got)
	}
}

func TestDeleteAllStopsBetweenRowsWhenItIsInterrupted(t *testing.T) {
	bothModes(t, func(t *testing.T, strict bool) {
		s := schema()
		indexer := &moody{StringFieldIndex: memdb.StringFieldIndex{Field: "Team"}, cancel: func() {}}
		s.Tables["users"].Indexes["team"].Indexer = indexer
		db := open(t, memory.Config{Strict: strict, Schema: s})
		put(t, db, "1", "3")
		if err := db.Write(bg, func(tx *memory.Txn) error { return users.Insert(tx, &user{ID: "2", Team: "cancels"}) }); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(bg)
		indexer.cancel = cancel // when the second row is being deleted
		err := db.Write(ctx, func(tx *memory.Txn) error {
			n, err := users.DeleteAll(tx, "id")
			if n != 0 || !errors.Is(err, lifecycle.ErrInterrupted) {
				t.Errorf("DeleteAll: %d, %v; want 0, ErrInterrupted", n, err)
			}
			return nil
		})
		if !errors.Is(err, lifecycle.ErrInterrupted) {
			t.Errorf("Write: %v; want ErrInterrupted", err)
		}
		if got := stored(t, db); got != "1 2 3" {
			t.Errorf("%q is stored; half of a DeleteAll must not be committed", got)
		}
	})
}

func TestTheGoroutinesOfOneCallbackMayShareItsTxn(t *testing.T) {
	db := open(t, memory.Config{})
	err := db.Write(bg, func(tx *memory.Txn) error {
		done := make(chan error)
		for i := range 4 {
			go func() {
				var err error
				for j := range 50 {
					err = errors.Join(err,
						users.Insert(tx, &user{ID: string(rune('a'+i)) + string(rune('A'+j)), Team: "a"}),
						drain(users.Get(tx, "id")))
				}
				done <- err
			}()
		}
		var err error
		for range 4 {
			err = errors.Join(err, <-done)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if n := len(strings.Fields(stored(t, db))); n != 200 {
		t.Errorf("%d rows are stored; want 200", n)
	}
}

func TestStatementsReturnWhatTheyPromise(t *testing.T) {
	db := open(t, memory.Config{})
	ids := func(rows iter.Seq2[*user, error]) (got []string) {
		for u, err := range rows {
			if err != nil {
				t.Error(err)
				break
			}
			got = append(got, u.ID)
		}
		return got
	}
	err := db.Write(bg, func(tx *memory.Txn) error {
		for _, u := range []*user{{"11", "a", nil}, {"12", "b", nil}, {"21", "a", nil}} {
			if err := users.Insert(tx, u); err != nil {
				return err
			}
		}
		for _, c := range []struct {
			what      string
			got, want []string
		}{
			{"Get all", ids(users.Get(tx, "id")), []string{"11", "12", "21"}},
			{"Get equal", ids(users.Get(tx, "team", "a")), []string{"11", "21"}},
			{"Get prefix", ids(users.Get(tx, "id_prefix", "1")), []string{"11", "12"}},
			{"GetReverse", ids(users.GetReverse(tx, "id")), []string{"21", "12", "11"}},
			{"LowerBound", ids(users.LowerBound(tx, "id", "12")), []string{"12", "21"}},
			{"ReverseLowerBound", ids(users.ReverseLowerBound(tx, "id", "12")), []string{"12", "11"}},
			{"Get none", ids(users.Get(tx, "team", "c")), nil},
		} {
			if diff := cmp.Diff(c.want, c.got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", c.what, diff)
			}
		}
		if u, found, err := users.First(tx, "team", "a"); err != nil || !found || u.ID != "11" {
			t.Errorf("First: %v, %v, %v", u, found, err)
		}
		if u, found, err := users.Last(tx, "team", "a"); err != nil || !found || u.ID != "21" {
			t.Errorf("Last: %v, %v, %v", u, found, err)
		}
		if u, found, err := users.First(tx, "id", "3"); err != nil || found || u != nil {
			t.Errorf("First of nothing: %v, %v, %v; want nil, false, nil", u, found, err)
		}
		if err := users.Insert(tx, &user{ID: "11", Team: "b"}); err != nil {
			return err
		}
		if diff := cmp.Diff([]string{"21"}, ids(users.Get(tx, "team", "a"))); diff != "" {
			t.Errorf("after Insert replaced a row (-want +got):\n%s", diff)
		}
		n, err := users.DeleteAll(tx, "team", "b")
		if n != 2 || err != nil {
			t.Errorf("DeleteAll: %d, %v; want 2, nil", n, err)
		}
		return users.Delete(tx, &user{ID: "21"})
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := stored(t, db); got != "" {
		t.Errorf("%q is stored", got)
	}
}

func TestATableTellsRowsOfAnotherType(t *testing.T) {
	db := open(t, memory.Config{})
	put(t, db, "1")
	const wrong memory.Table[user] = "users" // the rows are pointers
	err := db.Read(bg, func(tx *memory.Txn) error {
		if _, _, err := wrong.First(tx, "id"); !errors.Is(err, memory.ErrRowType) {
			t.Errorf("First: %v; want ErrRowType", err)
		}
		for _, err := range wrong.Get(tx, "id") {
			return err
		}
		return nil
	})
	if !errors.Is(err, memory.ErrRowType) {
		t.Errorf("Get: %v; want ErrRowType", err)
	}
}

func TestErrorsNameTheDatabaseAndTheStatement(t *testing.T) {
	db := open(t, memory.Config{Name: "people"})
	err := db.Read(bg, func(tx *memory.Txn) error { return users.Insert(tx, &user{ID: "1"}) })
	if state := (*lifecycle.StateError)(nil); !errors.As(err, &state) || state.Store != "people" || state.Op != "insert users" {
		t.Errorf("%v; want a StateError of people, insert users", err)
	}
}
