package sqlite_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/quiesce-go/quiesce/driver/sqlite"
	"github.com/quiesce-go/quiesce/driver/sqlite/modernc"
	"github.com/quiesce-go/quiesce/lifecycle"
)

func Example() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)

	db, err := sqlite.Open(ctx, sqlite.Config{Engine: modernc.Engine(), Path: filepath.Join(dir, "notes.db")})
	if err != nil {
		panic(err)
	}
	defer db.Close(ctx)

	err = db.Update(ctx, func(c *sqlite.Conn) error {
		if err := c.ExecScript(ctx, `CREATE TABLE note (id INTEGER PRIMARY KEY, text TEXT)`); err != nil {
			return err
		}
		_, err := c.Exec(ctx, `INSERT INTO note (text) VALUES (?), (?)`, "milk", "bread")
		return err
	})
	if err != nil {
		panic(err)
	}

	// Going to the background: after nil, this process holds nothing of the file.
	fmt.Println("pause:", db.Pause(ctx))
	err = db.View(ctx, func(*sqlite.Conn) error { return nil })
	fmt.Println("refused:", errors.Is(err, lifecycle.ErrPaused))

	// Coming back: the same handle, after the file was recognised.
	fmt.Println("resume:", db.Resume(ctx))
	err = db.View(ctx, func(c *sqlite.Conn) error {
		for row, err := range c.Rows(ctx, `SELECT id, text FROM note ORDER BY id`) {
			if err != nil {
				return err
			}
			var id int
			var text string
			if err := row.Scan(&id, &text); err != nil {
				return err
			}
			fmt.Println(id, text)
		}
		return nil
	})
	if err != nil {
		panic(err)
	}
	// Output:
	// pause: <nil>
	// refused: true
	// resume: <nil>
	// 1 milk
	// 2 bread
}

// A pause that ends before everybody let go names them.
func Example_whoHoldsOn() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	db, err := sqlite.Open(ctx, sqlite.Config{Engine: modernc.Engine(), Path: filepath.Join(dir, "app.db")})
	if err != nil {
		panic(err)
	}

	holding, let := make(chan struct{}), make(chan struct{})
	done := make(chan error)
	go func() {
		done <- db.Read(lifecycle.WithLabel(ctx, "load room list"), func(*sqlite.Conn) error {
			close(holding)
			<-let // not in SQLite, so that no interrupt reaches it
			return nil
		})
	}()
	<-holding

	for _, h := range db.Holders() {
		fmt.Println(h.Role, h.Label)
	}
	// A pause that has not ended at its deadline returns the same holders.
	short, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
	defer cancel()
	var held *lifecycle.HeldError
	if err := db.Pause(short); err != nil && !errors.As(err, &held) {
		panic(err)
	}
	// The connection was severed at the deadline. So nothing is held, although the callback still runs.
	fmt.Println(db.Pause(ctx))
	close(let)
	fmt.Println(<-done, db.Close(ctx))
	// Output:
	// read load room list
	// <nil>
	// <nil> <nil>
}

// Reads and writes of a store that has to wait for its resume, instead of failing.
func Example_waiting() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	db, err := sqlite.Open(ctx, sqlite.Config{Engine: modernc.Engine(), Path: filepath.Join(dir, "app.db"), WhenPaused: lifecycle.Wait})
	if err != nil {
		panic(err)
	}
	defer db.Close(ctx)
	if err := db.Pause(ctx); err != nil {
		panic(err)
	}

	answer := make(chan int)
	go func() {
		var n int
		_ = db.View(ctx, func(c *sqlite.Conn) error { return c.QueryRow(ctx, `SELECT 42`).Scan(&n) })
		answer <- n
	}()
	if err := db.Resume(ctx); err != nil {
		panic(err)
	}
	fmt.Println(<-answer)
	// Output: 42
}

// The queries of an application on database/sql stay what they are.
func ExampleDB_SQL() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	store, err := sqlite.Open(ctx, sqlite.Config{Engine: modernc.Engine(), Path: filepath.Join(dir, "app.db"), SingleWriter: true})
	if err != nil {
		panic(err)
	}
	defer store.Close(ctx)
	db := store.SQL()

	tx, err := db.Begin()
	if err != nil {
		panic(err)
	}
	if _, err := tx.Exec(`CREATE TABLE room (name TEXT)`); err != nil {
		panic(err)
	}
	paused := make(chan error)
	go func() { paused <- store.Pause(ctx) }() // waits for the transaction
	if _, err := tx.Exec(`INSERT INTO room VALUES ('kitchen')`); err != nil {
		panic(err)
	}
	if err := tx.Commit(); err != nil {
		panic(err)
	}
	fmt.Println("paused:", <-paused)

	if err := store.Resume(ctx); err != nil {
		panic(err)
	}
	var name string
	err = db.QueryRow(`SELECT name FROM room`).Scan(&name)
	fmt.Println(name, err)
	// Output:
	// paused: <nil>
	// kitchen <nil>
}
