package lease_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/quiesce-go/quiesce/driver/sqlite"
	"github.com/quiesce-go/quiesce/driver/sqlite/modernc"
	"github.com/quiesce-go/quiesce/storekit/lease"
)

// A token is refreshed by one process at a time, and only if nobody else has done it meanwhile.
func Example() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)

	locks, err := lease.Open(ctx, lease.Config{Database: sqlite.Config{Engine: modernc.Engine(), Path: filepath.Join(dir, "lease.db")}})
	if err != nil {
		panic(err)
	}
	defer locks.Close(ctx)

	soon, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	x, err := locks.Hold(soon, "token", lease.Options{})
	if err != nil {
		panic(err)
	}
	defer x.Release(ctx)
	if g := x.Generation(); x.Dirty() {
		// … read the token again, since another process may have changed it …
		x.Clean(g)
	}

	// … ask the server for a new token, which takes long; the program may be paused meanwhile …

	if err := x.Check(ctx); err != nil {
		fmt.Println("somebody else may have it by now:", err)
		return
	}
	fmt.Println("the token is ours to replace, generation", x.Generation())
	// Output: the token is ours to replace, generation 1
}
