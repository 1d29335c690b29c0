package memory_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/go-memdb"

	"github.com/quiesce-go/quiesce/driver/memory"
	"github.com/quiesce-go/quiesce/lifecycle"
)

type account struct{ ID, Balance int }

const accounts memory.Table[*account] = "accounts"

// TestStorm moves money between accounts while others read, pause and resume.
// Every reader finds the same sum, and at the end what was acknowledged is there, no more and no less.
func TestStorm(t *testing.T) {
	t.Run("plain", func(t *testing.T) { storm(t, false) })
	t.Run("strict", func(t *testing.T) { storm(t, true) })
}

func storm(t *testing.T, strict bool) {
	const (
		n     = 10
		each  = 100
		turns = 2000
	)
	db := open(t, memory.Config{Strict: strict, WhenPaused: lifecycle.Wait, Grace: time.Millisecond, Schema: &memdb.DBSchema{
		Tables: map[string]*memdb.TableSchema{"accounts": {Name: "accounts", Indexes: map[string]*memdb.IndexSchema{
			"id": {Name: "id", Unique: true, Indexer: &memdb.IntFieldIndex{Field: "ID"}},
		}}},
	}})
	err := db.Write(bg, func(tx *memory.Txn) error {
		for i := range n {
			if err := accounts.Insert(tx, &account{i, each}); err != nil {
				return err
			}
		}
		return accounts.Insert(tx, &account{ID: n}) // counts the commits
	})
	if err != nil {
		t.Fatal(err)
	}
	var (
		wg           sync.WaitGroup
		acknowledged atomic.Int64
		inside       atomic.Int64
	)
	spawn := func(workers, turns int, turn func(ctx context.Context, r *rand.Rand) error) {
		for w := range workers {
			wg.Go(func() {
				r := rand.New(rand.NewPCG(uint64(w), uint64(workers)))
				for range turns {
					ctx, cancel := bg, context.CancelFunc(func() {})
					if r.IntN(4) == 0 {
						ctx, cancel = context.WithTimeout(bg, time.Duration(r.IntN(500))*time.Microsecond)
					}
					err := turn(ctx, r)
					cancel()
					switch {
					case err == nil, errors.Is(err, errOwn), errors.Is(err, lifecycle.ErrInterrupted), errors.Is(err, lifecycle.ErrPaused),
						errors.Is(err, lifecycle.ErrSuperseded), errors.Is(err, context.DeadlineExceeded):
					default:
						t.Errorf("an error without a type: %v", err)
					}
				}
			})
		}
	}
	add := func(tx *memory.Txn, id, sum int) error {
		a, found, err := accounts.First(tx, "id", id)
		if err != nil {
			return err
		}
		if !found {
			return errors.New("account " + strconv.Itoa(id) + " is missing")
		}
		return accounts.Insert(tx, &account{id, a.Balance + sum})
	}
	spawn(3, turns, func(ctx context.Context, r *rand.Rand) error {
		err := db.Write(ctx, func(tx *memory.Txn) error {
			if inside.Add(1) != 1 {
				t.Error("two writers at once")
			}
			defer inside.Add(-1)
			from, to, sum := r.IntN(n), r.IntN(n), r.IntN(10)
			if err := errors.Join(add(tx, from, -sum), add(tx, n, 1)); err != nil {
				return err
			}
			if r.IntN(5) == 0 {
				return errOwn // half of a transfer
			}
			return add(tx, to, sum)
		})
		if err == nil {
			acknowledged.Add(1)
		}
		return err
	})
	spawn(3, turns, func(ctx context.Context, r *rand.Rand) error {
		return db.Read(ctx, func(tx *memory.Txn) error {
			sum, rows := 0, 0
			for a, err := range accounts.Get(tx, "id") {
				if err != nil {
					return err
				}
				if rows++; a.ID != n {
					sum += a.Balance
				}
			}
			if sum != n*each || rows != n+1 {
				t.Errorf("a snapshot of %d rows sums up to %d; want %d and %d", rows, sum, n+1, n*each)
			}
			return nil
		})
	})
	spawn(2, turns/10, func(ctx context.Context, r *rand.Rand) error {
		if err := db.Pause(ctx); err != nil {
			return err
		}
		return db.Resume(ctx)
	})
	wg.Wait()
	if err := db.Resume(bg); err != nil {
		t.Fatal(err)
	}
	err = db.Read(bg, func(tx *memory.Txn) error {
		count, _, err := accounts.First(tx, "id", n)
		if err == nil && int64(count.Balance) != acknowledged.Load() {
			t.Errorf("%d commits are stored, %d were acknowledged", count.Balance, acknowledged.Load())
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
	t.Logf("%d commits", acknowledged.Load())
}
