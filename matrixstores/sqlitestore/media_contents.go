package sqlitestore

import (
	"context"
	"errors"
	"fmt"
	"math/bits"
	"slices"
	"time"

	"maunium.net/go/mautrix/id"

	"github.com/quiesce-go/quiesce/driver/sqlite"
	"github.com/quiesce-go/quiesce/matrixstores/media"
)

// Contents as a whole: media.Contents, each method one transaction.

const (
	mediaColumns = `SELECT content, size, last_access, ignore_policy, info FROM media`

	selectMedia   = mediaColumns + ` WHERE uri = ? AND format = ?`
	selectForURI  = mediaColumns + ` WHERE uri = ? ORDER BY id`
	selectRef     = `SELECT id, content FROM media WHERE uri = ? AND format = ?`
	selectRefs    = `SELECT id, content FROM media WHERE uri = ?`
	insertMedia   = `INSERT INTO media (uri, format, content, size, last_access, ignore_policy, info) VALUES (?, ?, ?, ?, ?, ?, ?)`
	deleteMedia   = `DELETE FROM media WHERE id = ?`
	renameMedia   = `UPDATE media SET uri = ?, format = ?, info = ? WHERE content = ?`
	setIgnoring   = `UPDATE media SET ignore_policy = ?1 WHERE content = ?2 AND ignore_policy <> ?1`
	existsContent = `SELECT EXISTS (SELECT 1 FROM media WHERE content = ?)`
)

// content is a row of the table media.
type content struct {
	id contentID
	info
	access int64
	ignore bool
}

// Add stores a content; see media.Contents.
func (m *Media) Add(ctx context.Context, r media.Request, data []byte, o media.AddOptions) (stored bool, err error) {
	if err := r.Check(); err != nil {
		return false, m.failed("add", err)
	}
	err = m.update(ctx, func(c *sqlite.Conn) error {
		stored, err = m.addIn(ctx, c, r, data, o)
		return err
	})
	if err != nil {
		return false, m.failed("add", err)
	}
	if stored {
		m.opportunity()
	}
	return stored, nil
}

func (m *Media) addIn(ctx context.Context, c *sqlite.Conn, r media.Request, data []byte, o media.AddOptions) (stored bool, err error) {
	if !o.IgnorePolicy && m.retention.tooLarge(int64(len(data))) {
		return false, m.removeIn(ctx, c, r)
	}
	w := chunkWriter{m: m, id: newContentID()}
	if err := w.putAll(ctx, c, data); err != nil {
		return false, err
	}
	return true, m.place(ctx, c, w.id, info{r, int64(len(data)), chunkSize}, o)
}

// place makes chunks that are there a content, in the place of what has its name.
func (m *Media) place(ctx context.Context, c *sqlite.Conn, id contentID, i info, o media.AddOptions) error {
	uri, format, err := m.keys(i.request)
	if err == nil {
		err = removeAt(ctx, c, uri, format)
	}
	if err != nil {
		return err
	}
	sealed, err := m.seal(nil, id.infoPlace(), i.encode())
	if err == nil {
		_, err = c.Exec(ctx, insertMedia, uri, format, id[:], i.size, m.now(), o.IgnorePolicy, sealed)
	}
	return err
}

// Get returns a content; see media.Contents.
func (m *Media) Get(ctx context.Context, r media.Request) (data []byte, found bool, err error) {
	if err := r.Check(); err != nil {
		return nil, false, m.failed("get", err)
	}
	var row content
	err = m.View(ctx, func(c *sqlite.Conn) error {
		if row, found, err = m.find(ctx, c, r); err == nil && found {
			data, err = m.readAll(ctx, c, row)
		}
		return err
	})
	if err != nil {
		return nil, false, m.failed("get", err)
	}
	if found {
		m.accessed(row.id)
	}
	m.opportunity()
	return data, found, nil
}

// find returns the row of a request.
func (m *Media) find(ctx context.Context, c *sqlite.Conn, r media.Request) (row content, found bool, err error) {
	uri, format, err := m.keys(r)
	if err != nil {
		return content{}, false, err
	}
	for stored, err := range c.Rows(ctx, selectMedia, uri, format) {
		if err == nil {
			row, err = m.openRow(stored)
		}
		if err == nil && row.request != r {
			err = fmt.Errorf("%w: the row of one content has the name of another", media.ErrBroken)
		}
		return row, err == nil, err
	}
	return content{}, false, nil
}

// openRow makes a content of a row of mediaColumns.
func (m *Media) openRow(stored *sqlite.Row) (row content, err error) {
	var id, sealed []byte
	var size int64
	if err := stored.Scan(&id, &size, &row.access, &row.ignore, &sealed); err != nil {
		return content{}, err
	}
	if len(id) != len(row.id) {
		return content{}, fmt.Errorf("%w: media.content is %d bytes long", media.ErrBroken, len(id))
	}
	row.id = contentID(id)
	plain, err := m.open(nil, row.id.infoPlace(), sealed)
	if err == nil {
		row.info, err = decodeInfo(plain)
	}
	if err == nil && row.size != size {
		err = fmt.Errorf("%w: the size of a content was changed", media.ErrBroken)
	}
	return row, err
}

// GetForURI returns some content of a URI; see media.Contents. The formats are
// read from what is sealed: there are few of one URI, and so nobody else sees their sizes.
func (m *Media) GetForURI(ctx context.Context, uri id.ContentURIString) (data []byte, r media.Request, found bool, err error) {
	if err := media.File(uri).Check(); err != nil {
		return nil, r, false, m.failed("get for URI", err)
	}
	var best content
	var damage error
	err = m.View(ctx, func(c *sqlite.Conn) error {
		all, damaged, err := m.allOf(ctx, c, uri)
		damage = damaged
		for _, row := range all {
			if data, err = m.readAll(ctx, c, row); err == nil {
				best, found = row, true
				return nil
			}
			if !isDamage(err) {
				return err
			}
			damage = errors.Join(damage, err)
		}
		if isDamage(err) {
			err = nil
		}
		return err
	})
	damage = m.failed("get for URI", damage)
	switch {
	case err != nil:
		return nil, media.Request{}, false, m.failed("get for URI", err)
	case !found && damage != nil:
		return nil, media.Request{}, false, damage
	}
	m.tell(damage)
	if found {
		m.accessed(best.id)
	}
	m.opportunity()
	return data, best.request, found, nil
}

// allOf returns the contents of a URI, the best first, without those of which it is damaged what is known of them.
func (m *Media) allOf(ctx context.Context, c *sqlite.Conn, uri id.ContentURIString) (all []content, damage, err error) {
	key, err := m.uriKey(uri)
	if err != nil {
		return nil, nil, err
	}
	for stored, err := range c.Rows(ctx, selectForURI, key) {
		if err != nil {
			return nil, nil, err
		}
		row, err := m.openRow(stored)
		if err == nil && row.request.URI != uri {
			err = fmt.Errorf("%w: the row of one URI has the name of another", media.ErrBroken)
		}
		switch {
		case err == nil:
			all = append(all, row)
		case isDamage(err):
			damage = errors.Join(damage, err)
		default:
			return nil, nil, err
		}
	}
	slices.Reverse(all) // of two that are as good, the one that was stored later
	slices.SortStableFunc(all, func(a, b content) int {
		switch {
		case better(a.request.Format, b.request.Format):
			return -1
		case better(b.request.Format, a.request.Format):
			return 1
		}
		return 0
	})
	return all, damage, nil
}

// better says whether a is to be preferred to b, whichever was stored first.
func better(a, b media.Format) bool {
	if a.IsFile() || b.IsFile() {
		return a.IsFile()
	}
	aHigh, aLow := bits.Mul64(uint64(a.Width), uint64(a.Height))
	bHigh, bLow := bits.Mul64(uint64(b.Width), uint64(b.Height))
	return aHigh > bHigh || aHigh == bHigh && aLow > bLow
}

// Remove removes a content; see media.Contents.
func (m *Media) Remove(ctx context.Context, r media.Request) error {
	err := r.Check()
	if err == nil {
		err = m.update(ctx, func(c *sqlite.Conn) error { return m.removeIn(ctx, c, r) })
	}
	return m.failed("remove", err)
}

func (m *Media) removeIn(ctx context.Context, c *sqlite.Conn, r media.Request) error {
	uri, format, err := m.keys(r)
	if err != nil {
		return err
	}
	return removeAt(ctx, c, uri, format)
}

// removeAt opens nothing: what is damaged can be replaced and removed.
func removeAt(ctx context.Context, c *sqlite.Conn, uri, format []byte) error {
	found, there, err := refOf(ctx, c, uri, format)
	if err != nil || !there {
		return err
	}
	return found.drop(ctx, c)
}

// ref is what a content is found by when it is not to be read.
type ref struct {
	row int64
	id  contentID
}

func (r *ref) scan(row *sqlite.Row, more ...any) error {
	var id []byte
	err := row.Scan(append([]any{&r.row, &id}, more...)...)
	copy(r.id[:], id)
	return err
}

func refOf(ctx context.Context, c *sqlite.Conn, uri, format []byte) (found ref, there bool, err error) {
	for row, err := range c.Rows(ctx, selectRef, uri, format) {
		if err == nil {
			err = found.scan(row)
		}
		return found, err == nil, err
	}
	return ref{}, false, nil
}

// drop removes a content with its chunks.
func (r ref) drop(ctx context.Context, c *sqlite.Conn) error {
	if err := dropChunks(ctx, c, r.id); err != nil {
		return err
	}
	_, err := c.Exec(ctx, deleteMedia, r.row)
	return err
}

// RemoveForURI removes all formats of a URI; see media.Contents.
func (m *Media) RemoveForURI(ctx context.Context, uri id.ContentURIString) error {
	err := media.File(uri).Check()
	if err == nil {
		err = m.update(ctx, func(c *sqlite.Conn) error {
			key, err := m.uriKey(uri)
			if err != nil {
				return err
			}
			all, err := sqlite.Collect(c.Rows(ctx, selectRefs, key), func(r *sqlite.Row) (found ref, err error) {
				err = found.scan(r)
				return found, err
			})
			for _, found := range all {
				if err == nil {
					err = found.drop(ctx, c)
				}
			}
			return err
		})
	}
	return m.failed("remove for URI", err)
}

// Rename gives a content another name; see media.Contents.
func (m *Media) Rename(ctx context.Context, from, to media.Request, o media.RenameOptions) (renamed bool, err error) {
	if err := errors.Join(from.Check(), to.Check()); err != nil {
		return false, m.failed("rename", err)
	}
	err = m.update(ctx, func(c *sqlite.Conn) error {
		renamed = false
		row, found, err := m.find(ctx, c, from)
		if err != nil || !found {
			return err
		}
		if from != to {
			if err := m.rename(ctx, c, row, to); err != nil {
				return err
			}
		}
		if o.ObeyPolicy {
			if _, err := c.Exec(ctx, setIgnoring, false, row.id[:]); err != nil {
				return err
			}
		}
		renamed = true
		return nil
	})
	if err != nil {
		return false, m.failed("rename", err)
	}
	return renamed, nil
}

func (m *Media) rename(ctx context.Context, c *sqlite.Conn, row content, to media.Request) error {
	uri, format, err := m.keys(to)
	if err == nil {
		err = removeAt(ctx, c, uri, format)
	}
	if err != nil {
		return err
	}
	row.request = to
	sealed, err := m.seal(nil, row.id.infoPlace(), row.encode())
	if err == nil {
		_, err = c.Exec(ctx, renameMedia, uri, format, sealed, row.id[:])
	}
	return err
}

// SetIgnorePolicy sets or clears the flag of a content; see media.Contents.
func (m *Media) SetIgnorePolicy(ctx context.Context, r media.Request, ignore bool) error {
	err := r.Check()
	if err == nil {
		err = m.update(ctx, func(c *sqlite.Conn) error {
			uri, format, err := m.keys(r)
			if err != nil {
				return err
			}
			found, there, err := refOf(ctx, c, uri, format)
			if err == nil && there {
				_, err = c.Exec(ctx, setIgnoring, ignore, found.id[:])
			}
			return err
		})
	}
	return m.failed("set whether to ignore the policy", err)
}

// Info returns what the store knows of a content; see media.Contents.
func (m *Media) Info(ctx context.Context, r media.Request) (i media.Info, found bool, err error) {
	if err := r.Check(); err != nil {
		return i, false, m.failed("info", err)
	}
	for current := false; !current; { // until no access was stored between reading the row and asking memory
		var row content
		turn := m.accesses.turn()
		err = m.View(ctx, func(c *sqlite.Conn) error {
			row, found, err = m.find(ctx, c, r)
			return err
		})
		if err != nil || !found {
			return media.Info{}, false, m.failed("info", err)
		}
		row.access, current = m.accesses.of(row.id, row.access, m.now(), turn)
		i = media.Info{Size: row.size, LastAccess: time.UnixMilli(row.access).UTC(), IgnorePolicy: row.ignore}
	}
	return i, true, nil
}
