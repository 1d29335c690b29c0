package mediatest

// What a store should be like, as simple as it can be said: a list of contents,
// in the order in which they were stored. Random operations are done to a store and to this.

import (
	"bytes"
	"cmp"
	"slices"

	"maunium.net/go/mautrix/id"

	"github.com/quiesce-go/quiesce/matrixstores/media"
)

type model struct {
	now      func() int64 // in milliseconds
	policy   media.Policy
	contents []*modelContent // the one that was stored first comes first
	cleaned  *int64
}

type modelContent struct {
	media.Request
	data   []byte
	access int64
	ignore bool
	gone   bool
}

func (m *model) find(r media.Request) *modelContent {
	for _, c := range m.contents {
		if c.Request == r {
			return c
		}
	}
	return nil
}

// drop removes the contents for which this is so, and returns how many there were, and how large.
func (m *model) drop(is func(*modelContent) bool) (done media.Cleaned) {
	m.contents = slices.DeleteFunc(m.contents, func(c *modelContent) bool {
		if !is(c) {
			return false
		}
		c.gone = true
		done.Removed, done.Bytes = done.Removed+1, done.Bytes+int64(len(c.data))
		return true
	})
	return done
}

func (m *model) remove(r media.Request) {
	m.drop(func(c *modelContent) bool { return c.Request == r })
}

func (m *model) removeForURI(uri id.ContentURIString) {
	m.drop(func(c *modelContent) bool { return c.URI == uri })
}

// allows says whether a content may be stored.
func (m *model) allows(size int, ignore bool) bool {
	p := m.policy
	return ignore || (p.MaxFileSize == nil || int64(size) <= *p.MaxFileSize) && (p.MaxCacheSize == nil || int64(size) <= *p.MaxCacheSize)
}

func (m *model) add(r media.Request, data []byte, ignore bool) bool {
	m.remove(r)
	if !m.allows(len(data), ignore) {
		return false
	}
	m.contents = append(m.contents, &modelContent{Request: r, data: bytes.Clone(data), access: m.now(), ignore: ignore})
	return true
}

// get returns a content, and counts as reading.
func (m *model) get(r media.Request) *modelContent {
	c := m.find(r)
	if c != nil {
		c.access = m.now()
	}
	return c
}

func (m *model) getForURI(uri id.ContentURIString) (best *modelContent) {
	for _, c := range m.contents { // of those that are as good the last one
		if c.URI == uri && (best == nil || c.Format.IsFile() || !best.Format.IsFile() && pixels(c.Format).Cmp(pixels(best.Format)) >= 0) {
			best = c
		}
	}
	if best != nil {
		best.access = m.now()
	}
	return best
}

func (m *model) rename(from, to media.Request, obey bool) bool {
	c := m.find(from)
	if c == nil {
		return false
	}
	if from != to {
		m.remove(to)
	}
	c.Request, c.ignore = to, c.ignore && !obey
	return true
}

// clean removes what the contract says, in its order.
func (m *model) clean() (done media.Cleaned) {
	p, now := m.policy, m.now()
	if p.MaxCacheSize == nil && p.MaxFileSize == nil && p.LastAccessExpiry == nil {
		return done
	}
	sum := func(more media.Cleaned) { done.Removed, done.Bytes = done.Removed+more.Removed, done.Bytes+more.Bytes }
	sum(m.drop(func(c *modelContent) bool { return !m.allows(len(c.data), c.ignore) }))
	if p.LastAccessExpiry != nil {
		sum(m.drop(func(c *modelContent) bool {
			return !c.ignore && c.access <= now && now-c.access >= p.LastAccessExpiry.Milliseconds()
		}))
	}
	if p.MaxCacheSize != nil {
		newest := slices.Clone(m.contents)
		slices.Reverse(newest)
		slices.SortStableFunc(newest, func(a, b *modelContent) int { return cmp.Compare(b.access, a.access) })
		stay, total, full := map[*modelContent]bool{}, int64(0), false
		for _, c := range newest {
			if c.ignore {
				stay[c] = true
				continue
			}
			total += int64(len(c.data))
			full = full || total > *p.MaxCacheSize
			stay[c] = !full
		}
		sum(m.drop(func(c *modelContent) bool { return !stay[c] }))
	}
	m.cleaned = &now
	done.Ran = true
	return done
}

func (m *model) stats(uploads int) (s media.Stats) {
	s.Uploads = uploads
	for _, c := range m.contents {
		s.Contents, s.Bytes = s.Contents+1, s.Bytes+int64(len(c.data))
		if c.ignore {
			s.Ignoring++
		}
	}
	return s
}
