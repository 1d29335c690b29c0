package sqlitestore_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"maunium.net/go/mautrix/id"
	"path/filepath"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"github.com/quiesce-go/quiesce/driver/sqlite"
	"github.com/quiesce-go/quiesce/matrixstores/media"
	"github.com/quiesce-go/quiesce/matrixstores/sqlitestore"
	"github.com/quiesce-go/quiesce/storekit/secret"
)

// onMedia runs a test, or a benchmark, with the configuration of a plain and of an
// encrypted store on every engine. The clock in it stands still.
func onMedia[T interface {
	*testing.T | *testing.B
	testing.TB
	Run(string, func(T)) bool
}](t T, test func(t T, cfg sqlitestore.MediaConfig)) {
	t.Helper()
	onVariants(t, func(t T, engine sqlite.Engine, key secret.Secret) {
		cfg := mediaConfig(t.TempDir(), engine)
		cfg.Secret = key
		test(t, cfg)
	})
}

func mediaConfig(dir string, engine sqlite.Engine) sqlitestore.MediaConfig {
	return sqlitestore.MediaConfig{Config: sqlitestore.Config{
		Database: sqlite.Config{Engine: engine, Path: filepath.Join(dir, "media.db"), Verify: true, MaxReaders: 3},
		Clock:    newClock().now,
	}}
}

// openMedia opens a store, and closes it at the end.
func openMedia(t testing.TB, cfg sqlitestore.MediaConfig) *sqlitestore.Media {
	t.Helper()
	m, err := sqlitestore.OpenMedia(ctx, cfg)
	must(t, err)
	t.Cleanup(func() { must(t, m.Close(ctx)) })
	return m
}

// clock is a clock that tests set.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func newClock() *clock { return &clock{at: time.Date(2026, 1, 2, 3, 4, 5, 678e6, time.UTC)} }

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

// add moves the clock, and returns what it shows then.
func (c *clock) add(d time.Duration) time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
	return c.at
}

// chunkSize is that of the store, which tests go around the edges of.
const chunkSize = 64 << 10

// pattern returns bytes of which each piece of eight tells where it is, and in which content.
func pattern(seed uint32, size int) []byte {
	b := make([]byte, 0, size+8)
	for i := uint32(0); len(b) < size; i++ {
		b = binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(b, seed), i)
	}
	return b[:size]
}

// file returns the request for a file with a number.
func file(n int) media.Request {
	return media.File(id.ContentURIString(fmt.Sprintf("mxc://example.org/content%d", n)))
}

func addMedia(t testing.TB, s media.Store, r media.Request, data []byte) {
	t.Helper()
	stored, err := s.Add(ctx, r, data, media.AddOptions{})
	if err != nil || !stored {
		t.Fatalf("Add(%v): stored is %v (%v)", r, stored, err)
	}
}

// wantMedia checks that a content is there, or where data is nil, that it is not.
func wantMedia(t testing.TB, s media.Store, r media.Request, data []byte) {
	t.Helper()
	got, found, err := s.Get(ctx, r)
	switch {
	case err != nil:
		t.Errorf("Get(%v): %v", r, err)
	case found != (data != nil):
		t.Errorf("Get(%v): found is %v, want %v", r, found, data != nil)
	case !bytes.Equal(got, data):
		t.Errorf("Get(%v) returns %d bytes which are not the %d that were stored", r, len(got), len(data))
	}
}

// write writes a content as a stream, in pieces of a size, and does not commit it.
func write(t testing.TB, s media.Store, r media.Request, data []byte, piece int, o media.AddOptions) media.Writer {
	t.Helper()
	w, err := s.Create(ctx, r, o)
	must(t, err)
	t.Cleanup(func() { must(t, w.Close()) })
	for len(data) > 0 {
		n, err := w.Write(data[:min(piece, len(data))])
		must(t, err)
		data = data[n:]
	}
	return w
}

func commit(t testing.TB, w media.Writer) {
	t.Helper()
	stored, err := w.Commit()
	if err != nil || !stored {
		t.Fatalf("Commit: stored is %v (%v)", stored, err)
	}
}

// readBack reads a content from its beginning, and from some places inside.
func readBack(t testing.TB, in media.Reader, data []byte) {
	t.Helper()
	if in.Size() != int64(len(data)) {
		t.Errorf("Size is %d, want %d", in.Size(), len(data))
	}
	for _, from := range []int{0, len(data) / 3, max(0, len(data)-chunkSize), len(data), 0} {
		at, err := in.Seek(int64(from), io.SeekStart)
		must(t, err)
		got, err := io.ReadAll(in)
		if err != nil || at != int64(from) || !bytes.Equal(got, data[from:]) {
			t.Errorf("from %d on, %d bytes were read (%v), which are not the %d that were stored", from, len(got), err, len(data)-from)
		}
	}
}

// sizes are around the edges of chunks.
var sizes = []int{0, 1, 1000, chunkSize - 1, chunkSize, chunkSize + 1, 2 * chunkSize, 2*chunkSize + 7, 20*chunkSize + 3}

// TestMediaOfEverySize: what was stored, at once or as a stream in pieces of any
// size, comes back the same, at once and as a stream, from the beginning and from anywhere.
func TestMediaOfEverySize(t *testing.T) {
	onMedia(t, func(t *testing.T, cfg sqlitestore.MediaConfig) {
		s := openMedia(t, cfg)
		for i, size := range sizes {
			data := pattern(uint32(i), size)
			addMedia(t, s, file(0), data)
			wantMedia(t, s, file(0), data)
			for j, piece := range []int{1000, chunkSize, chunkSize + 5, 40 * chunkSize} {
				r := file(j + 1)
				commit(t, write(t, s, r, data, piece, media.AddOptions{}))
				wantMedia(t, s, r, data)
				in, err := s.Open(ctx, r)
				must(t, err)
				if size < chunkSize/10 { // it reads byte by byte
					must(t, iotest.TestReader(in, data))
				}
				readBack(t, in, data)
				must(t, in.Close())
			}
		}
	})
}
