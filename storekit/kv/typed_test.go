package kv_test

import (
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"

	"github.com/quiesce-go/quiesce/driver/sqlite"
	"github.com/quiesce-go/quiesce/storekit/codec"
	"github.com/quiesce-go/quiesce/storekit/kv"
)

type settings struct {
	Theme string `json:"theme"`
	Size  struct {
		Font int `json:"font"`
	} `json:"size"`
}

func TestTypedValuesComeBack(t *testing.T) {
	onBoth(t, func(t *testing.T, on both) {
		db := open(t, on.engine)
		table := kv.JSON[settings](kv.New(db, on.codec, "test"))
		a, b := settings{Theme: "dark"}, settings{Theme: "light"}
		b.Size.Font = 12
		must(t, table.Set(ctx, "a", a))
		must(t, db.Update(ctx, func(c *sqlite.Conn) error {
			return kv.JSON[settings](kv.New(db, on.codec, "test").In(c)).SetMany(ctx, map[string]settings{"b": b, "c": a})
		}))
		if v := got[settings](t)(table.Get(ctx, "b")); v != b {
			t.Errorf("%+v", v)
		}
		found := got[map[string]settings](t)(table.GetMany(ctx, []string{"a", "b", "x"}))
		if !maps.Equal(found, map[string]settings{"a": a, "b": b}) {
			t.Errorf("GetMany: %+v", found)
		}
		if deleted, n := got[bool](t)(table.Delete(ctx, "c")), got[int](t)(table.DeleteMany(ctx, []string{"a", "c"})); !deleted || n != 1 {
			t.Errorf("Delete: %v, %d", deleted, n)
		}
		for e, err := range table.All(ctx) {
			if err != nil || e.Key != "b" || e.Value != b {
				t.Errorf("All: %+v, %v", e, err)
			}
		}
		_, err := table.Get(ctx, "a")
		wantError(t, "Get", err, kv.ErrNotFound)
	})
}

// TestWhatIsNoTSaysWhere: with the place in the document, and nothing of key or value.
func TestWhatIsNoTSaysWhere(t *testing.T) {
	onBoth(t, func(t *testing.T, on both) {
		raw := kv.New(open(t, on.engine), on.codec, "SECRET")
		must(t, raw.Set(ctx, "SECRET", []byte(`{"theme":"SECRET","size":{"font":"SECRET"}}`)))
		table := kv.JSON[settings](raw)
		v, err := table.Get(ctx, "SECRET")
		many, err2 := table.GetMany(ctx, []string{"SECRET"})
		var err3 error
		for _, err3 = range table.All(ctx) {
		}
		if v != (settings{}) || many != nil {
			t.Errorf("with an error came %+v and %+v", v, many)
		}
		for i, err := range []error{err, err2, err3} {
			var e *codec.DecodeError
			if !errors.As(err, &e) || e.Path != "size.font" || e.Table != "storekit_kv" || e.Column != "value" {
				t.Errorf("%d: %v", i, err)
			}
			if strings.Contains(fmt.Sprint(err), "SECRET") {
				t.Errorf("%d: the error contains key, namespace or value: %v", i, err)
			}
		}
		bad := kv.JSON[func()](raw)
		if bad.Set(ctx, "a", nil) == nil || bad.SetMany(ctx, map[string]func(){"a": nil}) == nil || got[int](t)(raw.Len(ctx)) != 1 {
			t.Errorf("what JSON cannot hold is an error, and nothing is written")
		}
	})
}
