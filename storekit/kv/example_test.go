package kv_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/quiesce-go/quiesce/driver/sqlite"
	"github.com/quiesce-go/quiesce/driver/sqlite/modernc"
	"github.com/quiesce-go/quiesce/storekit/codec"
	"github.com/quiesce-go/quiesce/storekit/kv"
)

func Example() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	db, err := sqlite.Open(ctx, sqlite.Config{Engine: modernc.Engine(), Path: filepath.Join(dir, "app.db"), Prepare: kv.Create})
	if err != nil {
		panic(err)
	}
	defer db.Close(ctx)

	plain := new(codec.Codec) // codec.New(cipher) in a store that is encrypted
	settings := kv.New(db, plain, "settings")
	if err := settings.Set(ctx, "theme", []byte("dark")); err != nil {
		panic(err)
	}
	theme, err := settings.Get(ctx, "theme")
	fmt.Printf("%s %v\n", theme, err)
	_, err = settings.Get(ctx, "font")
	fmt.Println(errors.Is(err, kv.ErrNotFound))
	// Output:
	// dark <nil>
	// true
}

// A token is kept together with what came with it, or not at all.
func ExampleTable_In() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	db, err := sqlite.Open(ctx, sqlite.Config{Engine: modernc.Engine(), Path: filepath.Join(dir, "app.db"), Prepare: kv.Create})
	if err != nil {
		panic(err)
	}
	defer db.Close(ctx)

	sync := kv.New(db, new(codec.Codec), "sync")
	err = db.Update(ctx, func(c *sqlite.Conn) error {
		if err := c.ExecScript(ctx, `CREATE TABLE event (id TEXT); INSERT INTO event VALUES ('$1')`); err != nil {
			return err
		}
		if err := sync.In(c).Set(ctx, "next_batch", []byte("s72595")); err != nil {
			return err
		}
		return errors.New("something went wrong")
	})
	fmt.Println(err)
	n, err := sync.Len(ctx)
	fmt.Println(n, err)
	// Output:
	// something went wrong
	// 0 <nil>
}

func ExampleJSON() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	db, err := sqlite.Open(ctx, sqlite.Config{Engine: modernc.Engine(), Path: filepath.Join(dir, "app.db"), Prepare: kv.Create})
	if err != nil {
		panic(err)
	}
	defer db.Close(ctx)

	type window struct{ Width, Height int }
	windows := kv.JSON[window](kv.New(db, new(codec.Codec), "windows"))
	if err := windows.Set(ctx, "main", window{800, 600}); err != nil {
		panic(err)
	}
	for entry, err := range windows.All(ctx) {
		fmt.Println(entry.Key, entry.Value, err)
	}
	// Output: main {800 600} <nil>
}
