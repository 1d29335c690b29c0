package memory_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/hashicorp/go-memdb"

	"github.com/quiesce-go/quiesce/driver/memory"
	"github.com/quiesce-go/quiesce/lifecycle"
)

type room struct {
	ID    string
	Topic string
}

const rooms memory.Table[*room] = "rooms"

var roomSchema = &memdb.DBSchema{Tables: map[string]*memdb.TableSchema{
	"rooms": {Name: "rooms", Indexes: map[string]*memdb.IndexSchema{
		"id": {Name: "id", Unique: true, Indexer: &memdb.StringFieldIndex{Field: "ID"}},
	}},
}}

// A strict database is for tests: it finds work that is done while paused.
func Example() {
	ctx := context.Background()
	db, err := memory.Open(ctx, memory.Config{Name: "rooms", Schema: roomSchema, Strict: true})
	if err != nil {
		panic(err)
	}
	defer db.Close(ctx)

	err = db.Write(ctx, func(tx *memory.Txn) error {
		return errors.Join(
			rooms.Insert(tx, &room{ID: "!a", Topic: "tea"}),
			rooms.Insert(tx, &room{ID: "!b", Topic: "coffee"}),
		)
	})
	fmt.Println("write:", err)

	list := func(tx *memory.Txn) error {
		for r, err := range rooms.Get(tx, "id") {
			if err != nil {
				return err
			}
			fmt.Println(r.ID, r.Topic)
		}
		return nil
	}
	fmt.Println("pause:", db.Pause(ctx))
	err = db.Read(ctx, list)
	fmt.Println(err, errors.Is(err, lifecycle.ErrPaused))
	fmt.Println("resume:", db.Resume(ctx))
	fmt.Println("read:", db.Read(ctx, list))
	// Output:
	// write: <nil>
	// pause: <nil>
	// rooms: read: the store is paused true
	// resume: <nil>
	// !a tea
	// !b coffee
	// read: <nil>
}

// Without Strict a pause changes nothing.
func ExampleDB_Pause() {
	ctx := context.Background()
	db, err := memory.Open(ctx, memory.Config{Schema: roomSchema})
	if err != nil {
		panic(err)
	}
	defer db.Close(ctx)

	fmt.Println(db.Pause(ctx), db.State())
	fmt.Println(db.Write(ctx, func(tx *memory.Txn) error { return rooms.Insert(tx, &room{ID: "!a"}) }))
	// Output:
	// <nil> active
	// <nil>
}
