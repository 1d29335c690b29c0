package kv_test

import (
	"context"
	"fmt"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/quiesce-go/quiesce/driver/sqlite"
	"github.com/quiesce-go/quiesce/internal/tier"
	"github.com/quiesce-go/quiesce/lifecycle"
	"github.com/quiesce-go/quiesce/storekit/kv"
)

// TestManyGoroutinesAndPauses: what waits for the resume is done after it,
// nothing acknowledged is lost, and SetMany is seen as a whole.
func TestManyGoroutinesAndPauses(t *testing.T) {
	onBoth(t, func(t *testing.T, on both) {
		db, err := sqlite.Open(ctx, sqlite.Config{
			Engine: on.engine, Path: filepath.Join(t.TempDir(), "test.db"), Verify: true, Prepare: kv.Create, WhenPaused: lifecycle.Wait,
			Timeout: time.Minute, // so that no call is interrupted on a slow machine
		})
		must(t, err)
		defer func() { must(t, db.Close(ctx)) }()
		table := kv.New(db, on.codec, "test")
		patient, cancel := context.WithTimeout(ctx, 5*time.Minute) // how long a call waits for the resume
		defer cancel()
		var workers sync.WaitGroup
		for worker := range 4 {
			workers.Go(func() {
				a, b := fmt.Sprint("a", worker), fmt.Sprint("b", worker)
				for i := range tier.Count(20, 300, 3000) {
					v := []byte(fmt.Sprint(i))
					if err := table.SetMany(patient, map[string][]byte{a: v, b: v, "shared": v}); err != nil {
						t.Errorf("SetMany: %v", err)
						return
					}
					found, err := table.GetMany(patient, []string{b, a, "shared"})
					if err != nil || string(found[a]) != string(v) || string(found[b]) != string(v) || found["shared"] == nil {
						t.Errorf("after %s was set there is %q, %v", v, found, err)
						return
					}
				}
			})
		}
		for range tier.Count(5, 50, 500) {
			must(t, db.Pause(ctx))
			must(t, db.Resume(ctx))
		}
		workers.Wait()
	})
}
