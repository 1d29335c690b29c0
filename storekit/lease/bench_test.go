package lease_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/quiesce-go/quiesce/driver/sqlite"
	"github.com/quiesce-go/quiesce/internal/tier"
	"github.com/quiesce-go/quiesce/storekit/lease"
)

// BenchmarkLease: a renewal is what an idle program pays for, every few
// seconds; a hold is what stands around a piece of work.
func BenchmarkLease(b *testing.B) {
	onEngines(b, func(b *testing.B, engine sqlite.Engine) {
		b.Run("renew", func(b *testing.B) { benchRenew(b, open(b, engine, nil)) })
		b.Run("hold", func(b *testing.B) { benchHold(b, open(b, engine, nil)) })
		b.Run("check", func(b *testing.B) { benchCheck(b, open(b, engine, nil)) })
	})
	b.Run("memory", func(b *testing.B) {
		b.Run("renew", func(b *testing.B) { benchRenew(b, inMemory(b)) })
		b.Run("hold", func(b *testing.B) { benchHold(b, inMemory(b)) })
		b.Run("check", func(b *testing.B) { benchCheck(b, inMemory(b)) })
	})
}

func benchRenew(b *testing.B, l *lease.Locks) {
	b.ReportAllocs()
	for b.Loop() {
		if _, ok, err := l.Take(ctx, "key", "holder", time.Minute); !ok || err != nil {
			b.Fatal(ok, err)
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "renewals/s")
}

func benchHold(b *testing.B, l *lease.Locks) {
	b.ReportAllocs()
	for b.Loop() {
		x, err := l.Hold(ctx, "key", lease.Options{})
		if err != nil {
			b.Fatal(err)
		}
		if err := x.Release(ctx); err != nil {
			b.Fatal(err)
		}
	}
}

func benchCheck(b *testing.B, l *lease.Locks) {
	x := hold(b, l, "key", minute)
	b.ReportAllocs()
	for b.Loop() {
		if err := x.Check(ctx); err != nil {
			b.Fatal(err)
		}
	}
	must(b, x.Release(ctx))
}

// An idle program that holds a lease for ever does not fill the disk: the log
// stays small however often the lease is renewed, and so does the file.
func TestLogStaysSmall(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		path := filepath.Join(t.TempDir(), "lease.db")
		l := open(t, engine, at(path))
		size := func(suffix string) int64 {
			info, err := os.Stat(path + suffix)
			must(t, err)
			return info.Size()
		}
		take(t, l, "key", "holder", time.Minute, 1)
		before := size("-wal")
		const few = 10
		for range few {
			take(t, l, "key", "holder", time.Minute, 1)
		}
		each := (size("-wal") - before) / few
		if each > 1024 {
			t.Errorf("a renewal writes %d bytes into the log, want one small page", each)
		}
		for range tier.Count(1000, 10_000, 100_000) {
			take(t, l, "key", "holder", time.Minute, 1)
		}
		log, file := size("-wal"), size("")
		if log > 200_000 || file > 20_000 {
			t.Errorf("the log has %d bytes and the file %d, want them small whatever was renewed", log, file)
		}
		t.Logf("a renewal writes %d bytes; the log has %d bytes in the end, the file %d", each, log, file)
	})
}
