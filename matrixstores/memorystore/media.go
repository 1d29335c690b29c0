package memorystore

import (
	"context"
	"errors"
	"math/bits"
	"sync"
	"sync/atomic"
	"time"

	"maunium.net/go/mautrix/id"

	"github.com/quiesce-go/quiesce/driver/memory"
	"github.com/quiesce-go/quiesce/matrixstores/media"
	"github.com/quiesce-go/quiesce/storekit/job"
)

// MediaConfig is what a Media is opened with. The zero value is usable.
type MediaConfig struct {
	Config

	// Cleaned, where it is not nil, is told of every cleaning that the store began
	// by itself and that has ended, on a goroutine of the store's, for which Close waits.
	Cleaned func(media.Cleaned, error)
}

// Media is a media.Store in memory.
type Media struct {
	base
	told      func(media.Cleaned, error)
	stored    atomic.Uint64 // numbers the contents
	retention retention
	accesses  accesses
	writers   writers

	cleaning sync.Mutex // held by the Clean that runs
	due      atomic.Bool
	tidying  *job.Handle
}

var _ media.Store = (*Media)(nil)

// contentRow is a content. It is shared by all who have seen it, and never changed.
type contentRow struct {
	number  uint64 // of two contents the one that was stored later has the greater one; never used twice
	request media.Request
	size    int64
	data    [][]byte // pieces of pieceSize, the last one of what is left
	ignore  bool
}

const contents memory.Table[*contentRow] = "content"

func uriKey(uri id.ContentURIString) key { return key{}.text(string(uri)) }
func mediaKey(r media.Request) key       { return uriKey(r.URI).text(r.Format.String()) }

var mediaSchema = schemaOf(table("content",
	index("id", func(r *contentRow) key { return mediaKey(r.request) }),
	index("number", func(r *contentRow) key { return key{}.number(r.number) })))

// OpenMedia makes an empty media store.
func OpenMedia(ctx context.Context, cfg MediaConfig) (*Media, error) {
	b, err := cfg.Config.open(ctx, "media", mediaSchema)
	if err != nil {
		return nil, err
	}
	m := &Media{base: b, told: cfg.Cleaned}
	m.retention.policy = media.DefaultPolicy()
	m.accesses.at = map[uint64]int64{}
	m.writers.open = map[uint64]int64{}
	m.tidying, err = m.jobs.Start(job.Job{Name: m.Name() + ": clean", Run: m.tidy})
	if err != nil {
		return nil, errors.Join(err, m.Close(context.WithoutCancel(ctx)))
	}
	return m, nil
}

// accesses is when contents were read, which no transaction needs to know.
type accesses struct {
	mu sync.Mutex
	at map[uint64]int64 // by number, in milliseconds
}

func (a *accesses) note(number uint64, at int64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if _, there := a.at[number]; there {
		a.at[number] = at
	}
}

func (a *accesses) of(number uint64) int64 {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.at[number]
}

func (a *accesses) begin(number uint64, at int64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.at[number] = at
}

func (a *accesses) forget(numbers ...uint64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, n := range numbers {
		delete(a.at, n)
	}
}

// change is a write transaction on the contents.
type change struct {
	t     *memory.Txn
	gone  []uint64 // what it removes
	added uint64   // what it adds, or 0
}

// write runs fn in a transaction, and then brings the times of access in line with it.
func (m *Media) write(ctx context.Context, op string, check error, fn func(*change) error) error {
	var c change
	if check == nil {
		check = m.db.Write(ctx, func(t *memory.Txn) error {
			c.t = t
			return fn(&c)
		})
	}
	if check != nil {
		m.accesses.forget(c.added)
		return m.failed(op, check)
	}
	m.accesses.forget(c.gone...)
	return nil
}

func (m *Media) read(ctx context.Context, op string, check error, fn func(*memory.Txn) error) error {
	if check == nil {
		check = m.db.Read(ctx, fn)
	}
	return m.failed(op, check)
}

func (c *change) remove(row *contentRow) error {
	c.gone = append(c.gone, row.number)
	return contents.Delete(c.t, row)
}

func (c *change) removeAt(r media.Request) error {
	row, there, err := contents.First(c.t, "id", mediaKey(r))
	if err != nil || !there {
		return err
	}
	return c.remove(row)
}

// put stores a content, or removes what is out of date then. data is called for what is stored only.
func (m *Media) put(c *change, r media.Request, size int64, data func() [][]byte, o media.AddOptions) (stored bool, err error) {
	if err := c.removeAt(r); err != nil {
		return false, err
	}
	if !o.IgnorePolicy && m.retention.tooLarge(size) {
		return false, nil
	}
	row := &contentRow{number: m.stored.Add(1), request: r, size: size, data: data(), ignore: o.IgnorePolicy}
	c.added = row.number
	m.accesses.begin(row.number, m.now()) // before anybody can see it
	return true, contents.Insert(c.t, row)
}

// Add stores a content; see media.Contents.
func (m *Media) Add(ctx context.Context, r media.Request, data []byte, o media.AddOptions) (stored bool, err error) {
	err = m.write(ctx, "add", r.Check(), func(c *change) error {
		stored, err = m.put(c, r, int64(len(data)), func() [][]byte { return piecesOf(data).all }, o)
		return err
	})
	if err != nil {
		return false, err
	}
	if stored {
		m.opportunity()
	}
	return stored, nil
}

// Get returns a content; see media.Contents.
func (m *Media) Get(ctx context.Context, r media.Request) (data []byte, found bool, err error) {
	err = m.read(ctx, "get", r.Check(), func(t *memory.Txn) error {
		row, there, err := contents.First(t, "id", mediaKey(r))
		if err == nil && there {
			data, found = m.whole(row), true
		}
		return err
	})
	if err != nil {
		return nil, false, err
	}
	m.opportunity()
	return data, found, nil
}

// whole copies a content, and notes that it was read.
func (m *Media) whole(row *contentRow) []byte {
	data := make([]byte, 0, row.size)
	for _, piece := range row.data {
		data = append(data, piece...)
	}
	m.accesses.note(row.number, m.now())
	return data
}

// GetForURI returns some content of a URI; see media.Contents.
func (m *Media) GetForURI(ctx context.Context, uri id.ContentURIString) (data []byte, r media.Request, found bool, err error) {
	err = m.read(ctx, "get for URI", media.File(uri).Check(), func(t *memory.Txn) error {
		var best *contentRow
		for row, err := range contents.Get(t, "id_prefix", uriKey(uri)) {
			if err != nil {
				return err
			}
			if best == nil || better(row, best) {
				best = row
			}
		}
		if best != nil {
			data, r, found = m.whole(best), best.request, true
		}
		return nil
	})
	if err != nil {
		return nil, media.Request{}, false, err
	}
	m.opportunity()
	return data, r, found, nil
}

// better says whether a is to be preferred to b: the file, then more pixels, then what was stored later.
func better(a, b *contentRow) bool {
	f, g := a.request.Format, b.request.Format
	if f.IsFile() || g.IsFile() {
		return f.IsFile()
	}
	high, low := bits.Mul64(uint64(f.Width), uint64(f.Height))
	otherHigh, otherLow := bits.Mul64(uint64(g.Width), uint64(g.Height))
	switch {
	case high != otherHigh:
		return high > otherHigh
	case low != otherLow:
		return low > otherLow
	}
	return a.number > b.number
}

// Remove removes a content; see media.Contents.
func (m *Media) Remove(ctx context.Context, r media.Request) error {
	return m.write(ctx, "remove", r.Check(), func(c *change) error { return c.removeAt(r) })
}

// RemoveForURI removes all formats of a URI; see media.Contents.
func (m *Media) RemoveForURI(ctx context.Context, uri id.ContentURIString) error {
	return m.write(ctx, "remove for URI", media.File(uri).Check(), func(c *change) error {
		for row, err := range contents.Get(c.t, "id_prefix", uriKey(uri)) {
			if err == nil {
				err = c.remove(row)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// Rename gives a content another name; see media.Contents.
func (m *Media) Rename(ctx context.Context, from, to media.Request, o media.RenameOptions) (renamed bool, err error) {
	err = m.write(ctx, "rename", errors.Join(from.Check(), to.Check()), func(c *change) error {
		renamed = false
		row, there, err := contents.First(c.t, "id", mediaKey(from))
		if err != nil || !there {
			return err
		}
		renamed = true
		changed := *row
		changed.request, changed.ignore = to, row.ignore && !o.ObeyPolicy
		if from != to {
			if err := errors.Join(c.removeAt(to), contents.Delete(c.t, row)); err != nil {
				return err
			}
		}
		return contents.Insert(c.t, &changed)
	})
	if err != nil {
		return false, err
	}
	return renamed, nil
}

// SetIgnorePolicy sets or clears the flag of a content; see media.Contents.
func (m *Media) SetIgnorePolicy(ctx context.Context, r media.Request, ignore bool) error {
	return m.write(ctx, "set whether to ignore the policy", r.Check(), func(c *change) error {
		row, there, err := contents.First(c.t, "id", mediaKey(r))
		if err != nil || !there {
			return err
		}
		changed := *row
		changed.ignore = ignore
		return contents.Insert(c.t, &changed)
	})
}

// Info returns what the store knows of a content; see media.Contents.
func (m *Media) Info(ctx context.Context, r media.Request) (info media.Info, found bool, err error) {
	err = m.read(ctx, "info", r.Check(), func(t *memory.Txn) error {
		row, there, err := contents.First(t, "id", mediaKey(r))
		if err == nil && there {
			found = true
			info = media.Info{Size: row.size, LastAccess: time.UnixMilli(m.accesses.of(row.number)).UTC(), IgnorePolicy: row.ignore}
		}
		return err
	})
	if err != nil {
		return media.Info{}, false, err
	}
	return info, found, nil
}

// Stats counts what is there; see media.Retention.
func (m *Media) Stats(ctx context.Context) (s media.Stats, err error) {
	err = m.read(ctx, "count", nil, func(t *memory.Txn) error {
		for row, err := range contents.Get(t, "id") {
			if err != nil {
				return err
			}
			s.Contents++
			s.Bytes += row.size
			if row.ignore {
				s.Ignoring++
			}
		}
		return nil
	})
	if err != nil {
		return media.Stats{}, err
	}
	s.Uploads, _ = m.writers.count()
	return s, nil
}

// Bytes returns the size of the contents, of their names, and of what is being written.
func (m *Media) Bytes(ctx context.Context) (size int64, err error) {
	err = m.read(ctx, "count the bytes", nil, func(t *memory.Txn) error {
		for row, err := range contents.Get(t, "id") {
			if err != nil {
				return err
			}
			size += row.size + int64(len(row.request.URI)+len(row.request.Format.Method))
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	_, written := m.writers.count()
	return size + written, nil
}
