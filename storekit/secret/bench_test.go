package secret

import (
	"bytes"
	"io"
	"slices"
	"testing"
	"time"

	"golang.org/x/crypto/chacha20poly1305"
	"lukechampine.com/blake3"
)

// As in driver/sqlite: blocks of both sides alternate in one run, and the
// median of the blocks' ratios is reported, because absolute times wander.

// versus reports the throughput of one side, and time(one) / time(other) as "ratio".
func versus(b *testing.B, size int, one, other func()) {
	b.Helper()
	const block = 500
	measure := func(f func()) time.Duration {
		start := time.Now()
		for range block {
			f()
		}
		return time.Since(start)
	}
	measure(one) // both warm
	measure(other)
	var ones, ratios []float64
	for i := 0; b.Loop(); i++ {
		var t1, t2 time.Duration
		if i%2 == 0 {
			t1, t2 = measure(one), measure(other)
		} else {
			t2, t1 = measure(other), measure(one)
		}
		ones = append(ones, float64(t1)/block)
		ratios = append(ratios, float64(t1)/float64(t2))
	}
	b.ReportMetric(median(ratios), "ratio")
	b.ReportMetric(median(ones), "ns/op")
	if size > 0 {
		b.ReportMetric(float64(size)/median(ones)*1e3, "MB/s")
	}
}

func median(values []float64) float64 {
	slices.Sort(values)
	return values[len(values)/2]
}

func must2[T any](b *testing.B) func(T, error) T {
	return func(v T, err error) T { must(b, err); return v }
}

// BenchmarkSeal: 1 KiB, beside x/crypto with a random nonce and no place, which is the floor.
func BenchmarkSeal(b *testing.B) {
	c, _ := newCipher(b, key(1))
	x, err := chacha20poly1305.NewX(make([]byte, keySize))
	must(b, err)
	plain, dst, nonce := make([]byte, 1024), make([]byte, 0, 2048), make([]byte, nonceSize)
	versus(b, len(plain), func() {
		_, _ = c.Seal(dst, plain, place)
	}, func() {
		randomBytes(nonce)
		x.Seal(dst, nonce, plain, nil)
	})
}

// BenchmarkOpenSealed: the same, backwards.
func BenchmarkOpenSealed(b *testing.B) {
	c, _ := newCipher(b, key(1))
	x, err := chacha20poly1305.NewX(make([]byte, keySize))
	must(b, err)
	plain, dst, nonce := make([]byte, 1024), make([]byte, 0, 2048), make([]byte, nonceSize)
	sealed := must2[[]byte](b)(c.Seal(nil, plain, place))
	bare := x.Seal(nil, nonce, plain, nil)
	versus(b, len(plain), func() {
		_, err = c.Open(dst, sealed, place)
	}, func() {
		_, err = x.Open(dst, nonce, bare, nil)
	})
	must(b, err)
}

// BenchmarkHashKey: the ratio says how much longer it takes to derive the
// table's key each time, as the seed does, than to have it.
func BenchmarkHashKey(b *testing.B) {
	c, _ := newCipher(b, key(1))
	id, seed := []byte("!abcdefghijklmnop:example.org"), make([]byte, keySize)
	var sum []byte
	versus(b, 0, func() {
		var sub [keySize]byte
		blake3.DeriveKey(sub[:], "state_event", seed)
		h := blake3.New(HashSize, sub[:])
		_, _ = h.Write(id)
		sum = h.Sum(sum[:0])
	}, func() {
		_, _ = c.HashKey("state_event", id)
	})
	start := time.Now()
	for range 10_000 {
		_, _ = c.HashKey("state_event", id)
	}
	b.ReportMetric(float64(time.Since(start))/10_000, "ns/op")
}

// BenchmarkStream: 1 MiB through both ends.
func BenchmarkStream(b *testing.B) {
	c, _ := newCipher(b, key(1))
	plain := pattern(1 << 20)
	sealed := &bytes.Buffer{}
	b.SetBytes(int64(len(plain)))
	for b.Loop() {
		sealed.Reset()
		w := must2[*SealWriter](b)(c.SealWriter(sealed, place))
		must2[int](b)(w.Write(plain))
		must(b, w.Close())
		must2[int64](b)(io.Copy(io.Discard, c.OpenReader(sealed, place)))
	}
}

// BenchmarkOpenCipher: what opening a store costs for the sake of the passphrase.
func BenchmarkOpenCipher(b *testing.B) {
	for name, s := range map[string]Secret{
		"key":        key(1),
		"default":    Passphrase([]byte("x")),
		"low-memory": PassphraseWith([]byte("x"), LowMemoryParams()),
	} {
		b.Run(name, func(b *testing.B) {
			_, k := newCipher(b, s)
			for b.Loop() {
				must2[*Cipher](b)(Open(ctx, k.header, s))
			}
		})
	}
}
