package filestore

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/quiesce-go/quiesce/conformance"
	"github.com/quiesce-go/quiesce/lifecycle"
)

func TestConformance(t *testing.T)      { conformance.Run(t, harness) }
func BenchmarkConformance(b *testing.B) { conformance.Bench(b, harness) }

func harness() *conformance.Harness {
	return &conformance.Harness{
		Open: func(ctx context.Context, dir string, o conformance.Options) (conformance.Store, error) {
			d := &Driver{Path: filepath.Join(dir, "store.json")}
			s, err := lifecycle.Open(ctx, d, lifecycle.Config[*os.File]{
				Timeout: o.Timeout, Grace: o.Grace, MaxReaders: o.MaxReaders, WhenPaused: o.WhenPaused, StartPaused: o.StartPaused,
			})
			return store{s, d}, err
		},
		Files: func(dir string) []string {
			return []string{filepath.Join(dir, "store.json"), filepath.Join(dir, "store.json.new")}
		},
		Without: map[conformance.Capability]string{
			conformance.Interrupt: "no call takes long", conformance.Sever: "the file is shared by all operations",
			conformance.Hooks: "nobody needs them", conformance.Settings: "a file has none", conformance.Leak: "there is nothing to leave open",
			conformance.Identity: "one JSON file is like another", conformance.Schema: "it is only a map",
			conformance.Shared: "two programs would overwrite each other's changes", conformance.Encryption: "it is plain JSON",
		},
	}
}

type store struct {
	*lifecycle.Connections[*os.File]
	d *Driver
}

func (s store) Read(ctx context.Context, fn func(conformance.Tx) error) error {
	return s.Connections.Read(ctx, func(*os.File) error {
		now := s.d.Snapshot()
		return fn(conformance.Tx{Get: func(key string) (string, error) { return now[key], nil }})
	})
}

func (s store) Write(ctx context.Context, fn func(conformance.Tx) error) error {
	return s.Connections.Write(ctx, func(*os.File) error {
		now, changes := s.d.Snapshot(), map[string]string{}
		get := func(key string) (string, error) { return now[key], nil }
		put := func(key, value string) error { changes[key] = value; return nil }
		if err := fn(conformance.Tx{Get: get, Put: put}); err != nil {
			return err
		}
		return s.d.Commit(changes)
	})
}
