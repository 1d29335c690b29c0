package notes

import (
	"context"
	"slices"

	"github.com/hashicorp/go-memdb"

	"github.com/quiesce-go/quiesce/driver/memory"
)

// Memory is a Store without a file. A pause of it does nothing, unless cfg.Strict.
type Memory struct {
	*memory.DB
	Notes
}

// OpenMemory makes an empty store. cfg.Schema is set here.
func OpenMemory(ctx context.Context, cfg memory.Config) (*Memory, error) {
	id := map[string]*memdb.IndexSchema{"id": {Name: "id", Unique: true, Indexer: &memdb.StringFieldIndex{Field: "ID"}}}
	cfg.Schema = &memdb.DBSchema{Tables: map[string]*memdb.TableSchema{"note": {Name: "note", Indexes: id}}}
	db, err := memory.Open(ctx, cfg)
	if err != nil {
		return nil, err
	}
	return &Memory{db, Notes{kept{db}}}, nil
}

// kept are notes as values in memory, which nobody may change.
type kept struct{ db *memory.DB }

const all memory.Table[Note] = "note"

func (k kept) add(ctx context.Context, n Note) error {
	n.Tags = slices.Clone(n.Tags)
	return k.db.Write(ctx, func(t *memory.Txn) error { return all.Insert(t, n) })
}

func (k kept) Remove(ctx context.Context, id string) error {
	return k.db.Write(ctx, func(t *memory.Txn) error {
		_, err := all.DeleteAll(t, "id", id)
		return err
	})
}

func (k kept) with(ctx context.Context, wanted []string) (found []Note, err error) {
	err = k.db.Read(ctx, func(t *memory.Txn) error {
		for n, err := range all.Get(t, "id") {
			if err != nil {
				return err
			}
			missing := func(token string) bool { return !slices.Contains(n.tokens(), token) }
			if n.Tags = slices.Clone(n.Tags); len(wanted) > 0 && !slices.ContainsFunc(wanted, missing) {
				found = append(found, n)
			}
		}
		return nil
	})
	return found, err
}
