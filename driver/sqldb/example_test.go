package sqldb_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"path/filepath"

	_ "modernc.org/sqlite"

	"github.com/quiesce-go/quiesce/driver/sqldb"
	"github.com/quiesce-go/quiesce/lifecycle"
)

// An application's queries stay what they are.
func ExampleOpenDriver() {
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	ctx, path := context.Background(), filepath.Join(dir, "app.db")

	store, err := sqldb.OpenDriver(ctx, "sqlite", "file:"+path, sqldb.Config{Path: path})
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close(ctx)
	db := store.SQL() // for sqlx, sqlc, gorm, bun, …

	if _, err := db.Exec(`CREATE TABLE room (name TEXT)`); err != nil {
		log.Fatal(err)
	}
	insert, err := db.Prepare(`INSERT INTO room VALUES (?)`)
	if err != nil {
		log.Fatal(err)
	}
	defer insert.Close()

	if err := store.Pause(ctx); err != nil {
		log.Fatal(err)
	}
	_, err = insert.Exec("kitchen")
	fmt.Println("paused:", errors.Is(err, lifecycle.ErrPaused))

	if err := store.Resume(ctx); err != nil {
		log.Fatal(err)
	}
	_, err = insert.Exec("kitchen") // the statement was prepared before the pause
	var rooms int
	err = errors.Join(err, db.QueryRow(`SELECT count(*) FROM room`).Scan(&rooms))
	fmt.Println("resumed:", rooms, "room", err)
	// Output:
	// paused: true
	// resumed: 1 room <nil>
}
