package holders

import (
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
)

// Descriptors, threads and processes come and go while others are looked at.
func TestThingsThatVanishMeanwhileAreNoError(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "state.db")
	release := take(t, path)
	stop := make(chan struct{})
	var churn sync.WaitGroup
	for _, step := range []func() error{
		func() error { return os.WriteFile(filepath.Join(dir, "other"), nil, 0o600) },
		func() error { return child(t.Context(), "silent").Run() },
	} {
		churn.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					_ = step()
				}
			}
		})
	}
	for range 15 {
		if r := mustSelf(t, path); len(r.Holders) != 3 {
			t.Errorf("three holders, whatever else happens: %v", r.Holders)
		}
		// Between fork and exec a child has what this process has: that is true, and no concern of this test.
		ours := slices.DeleteFunc(mustAll(t, path).Holders, func(h Holder) bool { return h.PID != os.Getpid() })
		if len(ours) != 3 {
			t.Errorf("three holders of this process, whatever else happens: %v", ours)
		}
	}
	close(stop)
	churn.Wait()
	release()
}

func BenchmarkSelf(b *testing.B) {
	dir := b.TempDir()
	for i := range 20 {
		f, err := os.Create(filepath.Join(dir, string(rune('a'+i))))
		if err != nil {
			b.Fatal(err)
		}
		defer f.Close()
	}
	path := filepath.Join(dir, "state.db")
	b.Run("released", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if r, err := Self(b.Context(), path); err != nil || !r.Empty() {
				b.Fatal(r, err)
			}
		}
	})
	b.Run("held", func(b *testing.B) {
		for _, suffix := range []string{"", "-wal", "-shm"} {
			f, err := os.Create(path + suffix)
			if err != nil {
				b.Fatal(err)
			}
			defer f.Close()
		}
		b.ReportAllocs()
		for b.Loop() {
			if r, err := Self(b.Context(), path); err != nil || r.Descriptors() != 3 {
				b.Fatal(r, err)
			}
		}
	})
}

func BenchmarkAll(b *testing.B) {
	path := filepath.Join(b.TempDir(), "state.db")
	for b.Loop() {
		if _, err := All(b.Context(), path); err != nil {
			b.Fatal(err)
		}
	}
}
