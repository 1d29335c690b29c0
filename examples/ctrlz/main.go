//go:build unix

// Command ctrlz shows what a program does that is put to the background: it
// writes a row every tenth of a second, and on Ctrl-Z (SIGTSTP) it gives
// everything back that it holds of its database before it stops. On fg or bg
// (SIGCONT) it takes the database again and goes on with the next row.
//
//	go run ./examples/ctrlz [FILE]
//
// While it is stopped, "quiesce holders FILE" finds nobody, and any other
// program may have the database for itself. Phones are strict about
// that: iOS ends an application that is suspended with a lock on a shared file.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/quiesce-go/quiesce/driver/sqlite"
	"github.com/quiesce-go/quiesce/driver/sqlite/modernc"
	"github.com/quiesce-go/quiesce/lifecycle"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "ctrlz:", err)
		os.Exit(1)
	}
}

func run() (err error) {
	path, err := database()
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	// Asked for before anything is open: from here on Ctrl-Z cannot stop us half-way.
	background, foreground := make(chan os.Signal, 1), make(chan os.Signal, 1)
	signal.Notify(background, syscall.SIGTSTP)
	signal.Notify(foreground, syscall.SIGCONT)

	db, err := sqlite.Open(ctx, sqlite.Config{
		Engine: modernc.Engine(),
		Path:   path,
		// Work that is asked for while paused waits for Resume instead of failing, so
		// that the writer below needs to know nothing of pauses.
		WhenPaused: lifecycle.Wait,
		// Every Pause asks the operating system for proof.
		Verify: true,
	})
	if err != nil {
		return err
	}
	// Close is a Pause for good. The context of the program has ended by then; the store's own time-out bounds it.
	defer func() { err = errors.Join(err, db.Close(context.Background())) }()

	err = db.Update(ctx, func(c *sqlite.Conn) error {
		return c.ExecScript(ctx, `CREATE TABLE IF NOT EXISTS ticks (id INTEGER PRIMARY KEY, at TEXT NOT NULL)`)
	})
	if err != nil {
		return err
	}
	fmt.Printf("process %d writes to %s; press Ctrl-Z, then look at: quiesce holders %s\n", os.Getpid(), path, path)

	failed := make(chan error, 1)
	go func() { failed <- tick(ctx, db) }()
	for {
		select {
		case err := <-failed:
			return err
		case <-background:
			if err := toBackground(ctx, db, foreground); err != nil {
				return err
			}
		}
	}
}

// toBackground pauses the database, stops the process, and resumes the database
// when the process is continued.
func toBackground(ctx context.Context, db *sqlite.DB, foreground <-chan os.Signal) error {
	if err := db.Pause(ctx); err != nil {
		// Stopping now would keep others out for as long as we sleep. The error names who holds what.
		fmt.Println("not stopping, since the database is still held:", err)
		return db.Resume(ctx)
	}
	fmt.Println("paused: nothing is held any more")
	select {
	case <-foreground: // of an earlier time
	default:
	}
	// Nobody can catch SIGSTOP, so this is what really stops the process. It need not
	// have happened when Kill returns; the SIGCONT that ends it is what to wait for.
	if err := syscall.Kill(os.Getpid(), syscall.SIGSTOP); err != nil {
		return err
	}
	<-foreground
	if err := db.Resume(ctx); err != nil {
		return err // for example lifecycle.ErrReplaced: somebody has put another database in its place
	}
	fmt.Println("resumed: going on")
	return nil
}

// tick writes rows until ctx ends.
func tick(ctx context.Context, db *sqlite.DB) error {
	ticker := time.NewTicker(100 * time.Millisecond)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case now := <-ticker.C:
			var row int64
			err := db.Update(ctx, func(c *sqlite.Conn) error {
				res, err := c.Exec(ctx, `INSERT INTO ticks (at) VALUES (?)`, now.Format(time.RFC3339Nano))
				row = res.LastInsertID
				return err
			})
			switch {
			case ctx.Err() != nil:
				return nil
			case errors.Is(err, lifecycle.ErrPaused): // it was stopped for longer than a write waits; the next one comes
			case err != nil:
				return err
			default:
				fmt.Println("row", row)
			}
		}
	}
}

// database is the file to write to: the argument, or one that stays in the temporary directory.
func database() (string, error) {
	if len(os.Args) > 1 {
		return filepath.Abs(os.Args[1])
	}
	return filepath.Join(os.TempDir(), fmt.Sprintf("quiesce-ctrlz-%d.db", os.Getuid())), nil
}
