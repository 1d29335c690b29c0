package mediatest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"testing"
	"time"

	"github.com/quiesce-go/quiesce/matrixstores/media"
)

// LargeVariable is the environment variable that, set to 1, makes Bench measure contents of 20 MiB too.
const LargeVariable = "QUIESCE_BENCH_LARGE"

// Bench measures a store, in sub-benchmarks with the same names for every
// store, so that their tables can be compared with benchstat:
//
//	add/size=64KiB         Add, to one of eight names in turn
//	get/size=64KiB         Get
//	stream-in/size=64KiB   Create, writing in pieces of 64 KiB, and Commit
//	stream-out/size=64KiB  Open, and reading in pieces of 64 KiB
//	clean/size=64KiB       Clean, for each content that it removes; B/s are those of the removed ones
//
// and so for 1 MiB, and 20 MiB with [LargeVariable]. The metric stored/byte is
// how many bytes the store takes for one of a content, after a pause.
func Bench(b *testing.B, newHarness func() *Harness) {
	sizes := []int{64 * kib, mib}
	if os.Getenv(LargeVariable) == "1" {
		sizes = append(sizes, 20*mib)
	}
	for _, m := range []struct {
		name string
		run  func(*bench)
	}{
		{"add", (*bench).add}, {"get", (*bench).get}, {"stream-in", (*bench).streamIn}, {"stream-out", (*bench).streamOut}, {"clean", (*bench).clean},
	} {
		for _, size := range sizes {
			b.Run(fmt.Sprintf("%s/size=%dKiB", m.name, size/kib), func(b *testing.B) {
				h := newHarness()
				if err := h.check(); err != nil {
					b.Fatal(err)
				}
				s, err := h.Open(b.Context(), b.TempDir(), Options{Clock: time.Now, Timeout: time.Minute, Grace: 10 * time.Second})
				if err != nil {
					b.Fatal(err)
				}
				x := &bench{B: b, s: s, data: bytesOf(1, size)}
				b.Cleanup(func() { x.must("Close", s.Close(context.Background())) })
				x.must("SetPolicy", s.SetPolicy(b.Context(), media.NoLimits()))
				b.SetBytes(int64(size))
				b.ReportAllocs()
				m.run(x)
			})
		}
	}
}

type bench struct {
	*testing.B
	s    media.Store
	data []byte
}

func (b *bench) must(what string, err error) {
	if err != nil {
		b.Fatalf("%s: %v", what, err)
	}
}

// name is one of a few, in turn.
func (b *bench) name(i int) media.Request { return file(fmt.Sprint(i % 8)) }

func (b *bench) put(i int) {
	stored, err := b.s.Add(b.Context(), b.name(i), b.data, media.AddOptions{})
	if err == nil && !stored {
		err = errors.New("it is not stored")
	}
	b.must("Add", err)
}

func (b *bench) add() {
	for i := 0; b.Loop(); i++ {
		b.put(i)
	}
	b.stored()
}

// stored reports how much the store takes for what is in it.
func (b *bench) stored() {
	b.must("Compact", b.s.Compact(b.Context()))
	b.must("Pause", b.s.Pause(b.Context()))
	b.must("Resume", b.s.Resume(b.Context()))
	bytes, err := b.s.Bytes(b.Context())
	b.must("Bytes", err)
	stats, err := b.s.Stats(b.Context())
	b.must("Stats", err)
	b.ReportMetric(float64(bytes)/float64(stats.Bytes), "stored/byte")
}

func (b *bench) get() {
	b.put(0)
	for b.Loop() {
		data, _, err := b.s.Get(b.Context(), b.name(0))
		if err == nil && len(data) != len(b.data) {
			err = fmt.Errorf("it has %d bytes", len(data))
		}
		b.must("Get", err)
	}
}

const piece = 64 * kib

func (b *bench) streamIn() {
	for i := 0; b.Loop(); i++ {
		w, err := b.s.Create(b.Context(), b.name(i), media.AddOptions{})
		b.must("Create", err)
		for rest := b.data; len(rest) > 0; {
			n, err := w.Write(rest[:min(piece, len(rest))])
			b.must("Write", err)
			rest = rest[n:]
		}
		stored, err := w.Commit()
		if err == nil && !stored {
			err = errors.New("it is not stored")
		}
		b.must("Commit", errors.Join(err, w.Close()))
	}
	b.stored()
}

func (b *bench) streamOut() {
	b.put(0)
	buf := make([]byte, piece)
	for b.Loop() {
		in, err := b.s.Open(b.Context(), b.name(0))
		if err == nil && in == nil {
			err = errors.New("it is not there")
		}
		b.must("Open", err)
		n, err := io.CopyBuffer(onlyWriter{io.Discard}, onlyReader{in}, buf)
		if err == nil && n != int64(len(b.data)) {
			err = fmt.Errorf("it has %d bytes", n)
		}
		b.must("Read", errors.Join(err, in.Close()))
	}
}

// These hide what CopyBuffer would use instead of its buffer.
type (
	onlyWriter struct{ io.Writer }
	onlyReader struct{ io.Reader }
)

func (b *bench) clean() {
	count := max(2, 4*mib/len(b.data))
	b.SetBytes(int64(count * len(b.data)))
	b.must("SetPolicy", b.s.SetPolicy(b.Context(), media.NoLimits()))
	for b.Loop() {
		b.StopTimer()
		b.must("SetPolicy", b.s.SetPolicy(b.Context(), media.NoLimits()))
		for i := range count {
			stored, err := b.s.Add(b.Context(), file(fmt.Sprint("cleaned ", i)), b.data, media.AddOptions{})
			if err == nil && !stored {
				err = errors.New("it is not stored")
			}
			b.must("Add", err)
		}
		b.must("SetPolicy", b.s.SetPolicy(b.Context(), media.NoLimits().WithMaxCacheSize(0)))
		b.StartTimer()
		done, err := b.s.Clean(b.Context())
		if err == nil && done.Removed != count {
			err = fmt.Errorf("it has removed %d contents of %d", done.Removed, count)
		}
		b.must("Clean", err)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*count), "ns/content")
}
