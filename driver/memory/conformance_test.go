package memory_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/hashicorp/go-memdb"

	"github.com/quiesce-go/quiesce/conformance"
	"github.com/quiesce-go/quiesce/driver/memory"
	"github.com/quiesce-go/quiesce/internal/tier"
)

// TestConformance: both modes keep every promise that fits them, a hundred times in a row in the tier soak.
func TestConformance(t *testing.T) {
	for _, strict := range []bool{false, true} {
		t.Run(mode(strict), func(t *testing.T) {
			for i := range tier.Count(1, 3, 100) {
				t.Run(fmt.Sprint("run=", i+1), func(t *testing.T) { conformance.Run(t, harnessOf(strict)) })
			}
		})
	}
}

// TestConformanceCheck is the same without a test around it.
func TestConformanceCheck(t *testing.T) {
	for _, strict := range []bool{false, true} {
		t.Run(mode(strict), func(t *testing.T) {
			for range tier.Count(1, 3, 100) {
				if err := conformance.Check(t.Context(), harnessOf(strict)); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkConformance(b *testing.B) {
	for _, strict := range []bool{false, true} {
		b.Run(mode(strict), func(b *testing.B) { conformance.Bench(b, harnessOf(strict)) })
	}
}

func mode(strict bool) string {
	if strict {
		return "strict"
	}
	return "no-op"
}

func harnessOf(strict bool) func() *conformance.Harness {
	return func() *conformance.Harness {
		h := &conformance.Harness{
			Open: func(ctx context.Context, _ string, o conformance.Options) (conformance.Store, error) {
				db, err := memory.Open(ctx, memory.Config{
					Schema: entrySchema(), Strict: strict, StartPaused: o.StartPaused, WhenPaused: o.WhenPaused, Timeout: o.Timeout, Grace: o.Grace,
				})
				return store{db}, err
			},
			Without: map[conformance.Capability]string{
				conformance.Files:      "the data live in memory",
				conformance.Sever:      "there is no connection that could be closed under an operation",
				conformance.Hooks:      "nothing is opened or released, so there is nothing to hook into",
				conformance.Settings:   "there are no connections",
				conformance.Leak:       "a snapshot holds nothing that could be left open",
				conformance.Identity:   "nobody else can replace what is in memory",
				conformance.Schema:     "nobody else can change what is in memory",
				conformance.Shared:     "nobody else can see what is in memory",
				conformance.Encryption: "nothing is stored",
			},
		}
		if !strict {
			h.Without[conformance.Gate] = "by decision: a pause gives nothing back, and would only get in the way"
		}
		return h
	}
}

type entry struct{ Key, Value string }

const entries memory.Table[*entry] = "entries"

func entrySchema() *memdb.DBSchema {
	return &memdb.DBSchema{Tables: map[string]*memdb.TableSchema{
		"entries": {Name: "entries", Indexes: map[string]*memdb.IndexSchema{
			"id": {Name: "id", Unique: true, Indexer: &memdb.StringFieldIndex{Field: "Key"}},
		}},
	}}
}

type store struct{ *memory.DB }

func (s store) Read(ctx context.Context, fn func(conformance.Tx) error) error {
	return s.DB.Read(ctx, func(t *memory.Txn) error { return fn(tx(t)) })
}

func (s store) Write(ctx context.Context, fn func(conformance.Tx) error) error {
	return s.DB.Write(ctx, func(t *memory.Txn) error { return fn(tx(t)) })
}

func tx(t *memory.Txn) conformance.Tx {
	return conformance.Tx{
		Get: func(key string) (string, error) {
			e, found, err := entries.First(t, "id", key)
			if !found {
				return "", err
			}
			return e.Value, err
		},
		Put: func(key, value string) error { return entries.Insert(t, &entry{key, value}) },
	}
}
