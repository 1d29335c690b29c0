package kv_test

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"testing"

	"github.com/quiesce-go/quiesce/driver/sqlite"
	"github.com/quiesce-go/quiesce/internal/tier"
	"github.com/quiesce-go/quiesce/storekit/kv"
)

// TestItIsAMap: whatever is done to it, in any order, with pauses and
// roll-backs in between, a table answers as a map of Go does.
func TestItIsAMap(t *testing.T) {
	onBoth(t, func(t *testing.T, on both) {
		seed := rand.Uint64()
		defer func() {
			if t.Failed() {
				t.Logf("the seed was %d", seed)
			}
		}()
		r := rand.New(rand.NewPCG(seed, 0))
		db := open(t, on.engine)
		spaces := []string{"", "a", "b"}
		model := map[string]map[string]string{"": {}, "a": {}, "b": {}}
		for range tier.Count(300, 5_000, 50_000) {
			space := spaces[r.IntN(len(spaces))]
			table, want := kv.New(db, on.codec, space), model[space]
			switch r.IntN(20) {
			case 0:
				must(t, db.Pause(ctx))
				must(t, db.Resume(ctx))
			case 1:
				if all := list(t, table); !maps.Equal(all, want) {
					t.Fatalf("%q has %q, want %q", space, all, want)
				}
			case 2: // a transaction that is undone
				undone := maps.Clone(want)
				err := db.Update(ctx, func(c *sqlite.Conn) error {
					for range 5 {
						step(t, r, table.In(c), undone)
					}
					return errUndo
				})
				wantError(t, "an undone transaction", err, errUndo)
			case 3: // one that is not
				must(t, db.Update(ctx, func(c *sqlite.Conn) error {
					for range 5 {
						step(t, r, table.In(c), want)
					}
					return nil
				}))
			default:
				step(t, r, table, want)
			}
		}
		for space, want := range model {
			if all := list(t, kv.New(db, on.codec, space)); !maps.Equal(all, want) {
				t.Errorf("%q has %q in the end, want %q", space, all, want)
			}
		}
	})
}

// step does something to both, and compares the answers. Of a transaction that is
// undone, want is a copy.
func step(t *testing.T, r *rand.Rand, s kv.Store, want map[string]string) {
	t.Helper()
	key := func() string { return fmt.Sprint("key", r.IntN(30)) }
	keys := func() (all []string) {
		for range r.IntN(10) {
			all = append(all, key())
		}
		return all
	}
	value := func() []byte { return bytes.Repeat([]byte{byte(r.IntN(256))}, r.IntN(3000)) }
	switch r.IntN(12) {
	case 0, 1:
		k := key()
		v, err := s.Get(ctx, k)
		if w, ok := want[k]; ok && (err != nil || string(v) != w) || !ok && !errors.Is(err, kv.ErrNotFound) {
			t.Fatalf("Get(%s): %d bytes, %v", k, len(v), err)
		}
	case 2, 3, 4:
		k, v := key(), value()
		must(t, s.Set(ctx, k, v))
		want[k] = string(v)
	case 5:
		k := key()
		_, ok := want[k]
		if there := got[bool](t)(s.Delete(ctx, k)); there != ok {
			t.Fatalf("Delete(%s) says %v", k, there)
		}
		delete(want, k)
	case 6, 7:
		asked, there := keys(), map[string]string{}
		for _, k := range asked {
			if v, ok := want[k]; ok {
				there[k] = v
			}
		}
		found := got[map[string][]byte](t)(s.GetMany(ctx, asked))
		if !maps.EqualFunc(found, there, func(a []byte, b string) bool { return string(a) == b }) {
			t.Fatalf("GetMany(%q) found %d, want %d", asked, len(found), len(there))
		}
	case 8, 9:
		values := map[string][]byte{}
		for _, k := range keys() {
			values[k] = value()
			want[k] = string(values[k])
		}
		must(t, s.SetMany(ctx, values))
	case 10:
		asked, before := keys(), len(want)
		for _, k := range asked {
			delete(want, k)
		}
		if n := got[int](t)(s.DeleteMany(ctx, asked)); n != before-len(want) {
			t.Fatalf("DeleteMany(%q) says %d, want %d", asked, n, before-len(want))
		}
	case 11:
		if n := got[int](t)(s.Len(ctx)); n != len(want) {
			t.Fatalf("Len is %d, want %d", n, len(want))
		}
		if r.IntN(4) == 0 {
			must(t, s.Clear(ctx))
			clear(want)
		}
	}
}
