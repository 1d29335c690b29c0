package memory_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/hashicorp/go-memdb"
	"go.uber.org/goleak"

	"github.com/quiesce-go/quiesce/driver/memory"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// user is the row of these tests.
type user struct {
	ID   string
	Team string
	Tags []string
}

const users memory.Table[*user] = "users"

func schema() *memdb.DBSchema {
	return &memdb.DBSchema{Tables: map[string]*memdb.TableSchema{
		"users": {Name: "users", Indexes: map[string]*memdb.IndexSchema{
			"id":   {Name: "id", Unique: true, Indexer: &memdb.StringFieldIndex{Field: "ID"}},
			"team": {Name: "team", Indexer: &memdb.StringFieldIndex{Field: "Team"}},
			"tags": {Name: "tags", AllowMissing: true, Indexer: &memdb.StringSliceFieldIndex{Field: "Tags"}},
		}},
	}}
}

var bg = context.Background()

// bothModes runs a case in a bubble of testing/synctest: for a plain and for a strict database.
func bothModes(t *testing.T, test func(t *testing.T, strict bool)) {
	t.Run("plain", func(t *testing.T) { synctest.Test(t, func(t *testing.T) { test(t, false) }) })
	t.Run("strict", func(t *testing.T) { synctest.Test(t, func(t *testing.T) { test(t, true) }) })
}

// open makes a database that is closed at the end of the test.
func open(t testing.TB, cfg memory.Config) *memory.DB {
	t.Helper()
	if cfg.Schema == nil {
		cfg.Schema = schema()
	}
	db, err := memory.Open(bg, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(bg); err != nil {
			t.Errorf("Close at the end of the test: %v", err)
		}
	})
	return db
}

// put commits users with these ids, all of team "a".
func put(t testing.TB, db *memory.DB, ids ...string) {
	t.Helper()
	err := db.Write(bg, func(tx *memory.Txn) error {
		for _, id := range ids {
			if err := users.Insert(tx, &user{ID: id, Team: "a"}); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// idsIn lists the ids that tx sees.
func idsIn(t testing.TB, tx *memory.Txn) string {
	t.Helper()
	var ids []string
	for u, err := range users.Get(tx, "id") {
		if err != nil {
			t.Error(err)
			break
		}
		ids = append(ids, u.ID)
	}
	if !slices.IsSorted(ids) {
		t.Errorf("ids %v are not in the order of the index", ids)
	}
	return strings.Join(ids, " ")
}

// stored lists the ids that are committed.
func stored(t testing.TB, db *memory.DB) (ids string) {
	t.Helper()
	err := db.Read(bg, func(tx *memory.Txn) error {
		ids = idsIn(t, tx)
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	return ids
}

// statement is one of Txn's methods, for tables of all of them.
type statement struct {
	name    string
	changes bool
	run     func(tx *memory.Txn) error
}

var statements = []statement{
	{"First", false, func(tx *memory.Txn) error { _, _, err := users.First(tx, "id", "1"); return err }},
	{"Last", false, func(tx *memory.Txn) error { _, _, err := users.Last(tx, "id", "1"); return err }},
	{"LongestPrefix", false, func(tx *memory.Txn) error { _, _, err := users.LongestPrefix(tx, "id_prefix", "1"); return err }},
	{"Get", false, func(tx *memory.Txn) error { return drain(users.Get(tx, "id")) }},
	{"GetReverse", false, func(tx *memory.Txn) error { return drain(users.GetReverse(tx, "id")) }},
	{"LowerBound", false, func(tx *memory.Txn) error { return drain(users.LowerBound(tx, "id", "0")) }},
	{"ReverseLowerBound", false, func(tx *memory.Txn) error { return drain(users.ReverseLowerBound(tx, "id", "9")) }},
	{"Insert", true, func(tx *memory.Txn) error { return users.Insert(tx, &user{ID: "new", Team: "a"}) }},
	{"Delete", true, func(tx *memory.Txn) error { return users.Delete(tx, &user{ID: "1"}) }},
	{"DeleteAll", true, func(tx *memory.Txn) error { _, err := users.DeleteAll(tx, "id"); return err }},
}

// drain returns the error that a sequence ends with.
func drain(rows func(func(*user, error) bool)) error {
	for _, err := range rows {
		if err != nil {
			return err
		}
	}
	return nil
}
