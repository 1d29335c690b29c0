package notes_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/quiesce-go/quiesce/driver/sqlite"
	"github.com/quiesce-go/quiesce/driver/sqlite/modernc"
	"github.com/quiesce-go/quiesce/examples/notes"
	"github.com/quiesce-go/quiesce/lifecycle"
	"github.com/quiesce-go/quiesce/storekit"
	"github.com/quiesce-go/quiesce/storekit/secret"
)

// An encrypted store of notes, paused and resumed.
func Example() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "notes")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	store, err := notes.OpenSQLite(ctx, storekit.Config{
		Database: sqlite.Config{Engine: modernc.Engine(), Path: filepath.Join(dir, "notes.db")},
		Secret:   secret.Key(bytes.Repeat([]byte{42}, 32)), // from the platform's keychain
	})
	if err != nil {
		panic(err)
	}
	defer store.Close(ctx)

	err = errors.Join(
		store.Add(ctx, notes.Note{ID: "1", Text: "Milk, bread.", Tags: []string{"shopping"}}),
		store.Add(ctx, notes.Note{ID: "2", Text: "Bake bread!", Tags: []string{"home"}}),
	)
	fmt.Println(err)
	fmt.Println(store.Find(ctx, "BREAD milk"))
	fmt.Println(store.Tagged(ctx, "home"))

	fmt.Println(store.Pause(ctx))
	_, err = store.Get(ctx, "1")
	fmt.Println(errors.Is(err, lifecycle.ErrPaused))
	fmt.Println(store.Resume(ctx))
	fmt.Println(store.Get(ctx, "1"))
	// Output:
	// <nil>
	// [{1 Milk, bread. [shopping]}] <nil>
	// [{2 Bake bread! [home]}] <nil>
	// <nil>
	// true
	// <nil>
	// {1 Milk, bread. [shopping]} <nil>
}
