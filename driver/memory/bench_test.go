package memory_test

import (
	"testing"

	"github.com/hashicorp/go-memdb"

	"github.com/quiesce-go/quiesce/driver/memory"
)

// BenchmarkRead and BenchmarkWrite show what the lifecycle costs beside go-memdb alone.

func BenchmarkRead(b *testing.B) {
	b.Run("memdb", func(b *testing.B) {
		mem := filled(b)
		b.ReportAllocs()
		for b.Loop() {
			if row, err := mem.Txn(false).First("users", "id", "1"); err != nil || row == nil {
				b.Fatal(row, err)
			}
		}
	})
	b.Run("DB", func(b *testing.B) {
		db := open(b, memory.Config{})
		put(b, db, "1")
		b.ReportAllocs()
		for b.Loop() {
			err := db.Read(bg, func(tx *memory.Txn) error {
				_, _, err := users.First(tx, "id", "1")
				return err
			})
			if err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkWrite(b *testing.B) {
	row := &user{ID: "1", Team: "a"}
	b.Run("memdb", func(b *testing.B) {
		mem := filled(b)
		b.ReportAllocs()
		for b.Loop() {
			tx := mem.Txn(true)
			if err := tx.Insert("users", row); err != nil {
				b.Fatal(err)
			}
			tx.Commit()
		}
	})
	b.Run("DB", func(b *testing.B) {
		db := open(b, memory.Config{})
		b.ReportAllocs()
		for b.Loop() {
			if err := db.Write(bg, func(tx *memory.Txn) error { return users.Insert(tx, row) }); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func filled(b *testing.B) *memdb.MemDB {
	mem, err := memdb.NewMemDB(schema())
	if err != nil {
		b.Fatal(err)
	}
	tx := mem.Txn(true)
	if err := tx.Insert("users", &user{ID: "1", Team: "a"}); err != nil {
		b.Fatal(err)
	}
	tx.Commit()
	return mem
}
