package sqlitestore_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/quiesce-go/quiesce/driver/sqlite"
	"github.com/quiesce-go/quiesce/matrixstores/media"
	"github.com/quiesce-go/quiesce/matrixstores/sqlitestore"
	"github.com/quiesce-go/quiesce/storekit/secret"
)

// mediaDamages are what may happen to rows of file(1), which has four chunks and
// a bit, and of file(2), which is as long. {X} is the content of the
// first in hexadecimal, {Y} of the second, {U} and {F} are the name of the first.
var mediaDamages = []struct {
	what string
	sql  []string
}{
	{"a chunk is missing", []string{`DELETE FROM chunk WHERE row = x'{X}00000001'`}},
	{"the first chunk is missing", []string{`DELETE FROM chunk WHERE row = x'{X}00000000'`}},
	{"the last chunk is missing", []string{`DELETE FROM chunk WHERE row = x'{X}00000004'`}},
	{"all chunks are missing", []string{`DELETE FROM chunk WHERE row BETWEEN x'{X}00000000' AND x'{X}ffffffff'`}},
	{"a chunk is cut short", []string{`UPDATE chunk SET data = substr(data, 1, length(data) - 1) WHERE row = x'{X}00000001'`}},
	{"the last chunk is cut short", []string{`UPDATE chunk SET data = substr(data, 1, length(data) - 50) WHERE row = x'{X}00000004'`}},
	{"a chunk is empty", []string{`UPDATE chunk SET data = x'' WHERE row = x'{X}00000001'`}},
	{"a chunk has more", []string{`UPDATE chunk SET data = CAST(data || x'00' AS BLOB) WHERE row = x'{X}00000001'`}},
	{"a bit of a chunk is another", []string{`UPDATE chunk SET data = CAST(substr(data, 1, 1000) || x'5a' || substr(data, 1002) AS BLOB) WHERE row = x'{X}00000001'`}},
	{"two chunks have changed places", []string{
		`UPDATE chunk SET row = x'00' WHERE row = x'{X}00000001'`,
		`UPDATE chunk SET row = x'{X}00000001' WHERE row = x'{X}00000002'`,
		`UPDATE chunk SET row = x'{X}00000002' WHERE row = x'00'`,
	}},
	{"a chunk is the other content's", []string{
		`DELETE FROM chunk WHERE row = x'{X}00000001'`,
		`UPDATE chunk SET row = x'{X}00000001' WHERE row = x'{Y}00000001'`,
	}},
	{"the chunks are those of the other content", []string{
		`DELETE FROM chunk WHERE row BETWEEN x'{X}00000000' AND x'{X}ffffffff'`,
		`UPDATE chunk SET row = CAST(x'{X}' || substr(row, 17) AS BLOB) WHERE row BETWEEN x'{Y}00000000' AND x'{Y}ffffffff'`,
	}},
	{"the content is another one's", []string{
		`DELETE FROM media WHERE content = x'{X}'`,
		`UPDATE media SET uri = x'{U}', format = x'{F}' WHERE content = x'{Y}'`,
	}},
	{"the info is another one's", []string{`UPDATE media SET info = (SELECT info FROM media WHERE content = x'{Y}') WHERE content = x'{X}'`}},
	{"the info is empty", []string{`UPDATE media SET info = x'' WHERE content = x'{X}'`}},
	{"the info is cut short", []string{`UPDATE media SET info = substr(info, 1, length(info) - 1) WHERE content = x'{X}'`}},
	{"the size is another one", []string{`UPDATE media SET size = size - 1 WHERE content = x'{X}'`}},
	{"the content has no id", []string{`UPDATE media SET content = x'' WHERE content = x'{X}'`}},
}

// TestDamagedMediaIsNeverWrong: whatever is done to the rows of a content, in
// a plain or an encrypted store, reading it returns what was stored, or an error that says that
// it is damaged. It can be replaced, renamed over and removed all the same.
func TestDamagedMediaIsNeverWrong(t *testing.T) {
	onMedia(t, func(t *testing.T, cfg sqlitestore.MediaConfig) {
		s := openMedia(t, cfg)
		size := 4*chunkSize + 100
		right, other := pattern(1, size), pattern(2, size)
		for _, damage := range mediaDamages {
			t.Run(damage.what, func(t *testing.T) {
				for n, data := range map[int][]byte{1: right, 2: other} {
					must(t, s.Remove(ctx, file(n)))
					addMedia(t, s, file(n), data)
				}
				before, err := s.Open(ctx, file(1))
				must(t, err)
				hurt(t, s, damage.sql)

				broken := func(what string, got []byte, err error) {
					t.Helper()
					if !bytes.Equal(got, right[:len(got)]) || err == nil && len(got) != len(right) {
						t.Errorf("%s returns %d bytes (%v) that are not those that were stored", what, len(got), err)
					}
					if err != nil && !errors.Is(err, media.ErrBroken) && !errors.Is(err, secret.ErrTampered) && !errors.Is(err, media.ErrGone) {
						t.Errorf("%s: %v, which does not say that the content is damaged", what, err)
					}
				}
				got, found, err := s.Get(ctx, file(1))
				if found || err == nil {
					t.Errorf("Get returns %d bytes, found %v (%v), want an error", len(got), found, err)
				}
				broken("Get", got, err)
				got, _, _, err = s.GetForURI(ctx, file(1).URI)
				broken("GetForURI", got, err)
				got, err = io.ReadAll(before)
				broken("a Reader from before", got, err)
				in, err := s.Open(ctx, file(1))
				if err != nil {
					broken("Open", nil, err)
				} else {
					got, err = io.ReadAll(in)
					if err == nil {
						t.Error("a Reader returns no error")
					}
					broken("a Reader", got, err)
				}

				// It is nobody's trap.
				addMedia(t, s, file(3), right)
				_, err = s.Rename(ctx, file(3), file(1), media.RenameOptions{})
				must(t, err)
				wantMedia(t, s, file(1), right)
				hurt(t, s, []string{`UPDATE media SET info = x'' WHERE content = x'{X}'`})
				must(t, s.Remove(ctx, file(1)))
				wantMedia(t, s, file(1), nil)
				raw(t, s, `DELETE FROM chunk`)
				raw(t, s, `DELETE FROM media`)
			})
		}
	})
}

// TestMediaForURIPassesOverWhatIsDamaged: where there is a format of the URI that is whole, it is returned, and the Observer is told of
// the others; where there is none, the error says that they are damaged.
func TestMediaForURIPassesOverWhatIsDamaged(t *testing.T) {
	onMedia(t, func(t *testing.T, cfg sqlitestore.MediaConfig) {
		var told errorsTold
		cfg.Database.Observer = &told
		s := openMedia(t, cfg)
		uri := file(1).URI
		best, next := media.Thumbnail(uri, 20, 20), media.Thumbnail(uri, 10, 10)
		data := func(r media.Request) []byte { return pattern(uint32(r.Format.Width), 1000) }
		for _, damage := range mediaDamages {
			if strings.Contains(strings.Join(damage.sql, ""), "0000000") { // these are for a content of several chunks
				continue
			}
			addMedia(t, s, file(1), pattern(1, 4*chunkSize+100))
			addMedia(t, s, file(2), pattern(2, 4*chunkSize+100))
			addMedia(t, s, best, data(best))
			addMedia(t, s, next, data(next))
			hurt(t, s, damage.sql)
			get := func(want media.Request) {
				t.Helper()
				got, r, found, err := s.GetForURI(ctx, uri)
				if err != nil || !found || r != want || !bytes.Equal(got, data(want)) {
					t.Errorf("%s: GetForURI returned %d bytes of %v, found %v, %v; want %v", damage.what, len(got), r, found, err, want)
				}
				if all := told.take(); len(all) != 1 || !errors.Is(all[0], media.ErrBroken) {
					t.Errorf("%s: the Observer was told of %v", damage.what, all)
				}
			}
			get(best)
			raw(t, s, `UPDATE chunk SET data = x'00' WHERE rowid = (SELECT max(rowid) - 1 FROM chunk)`) // that of the second last
			get(next)
			raw(t, s, `UPDATE chunk SET data = x'00'`)
			if _, _, found, err := s.GetForURI(ctx, uri); found || !errors.Is(err, media.ErrBroken) {
				t.Errorf("%s: of damaged contents only, GetForURI has found %v, %v", damage.what, found, err)
			}
			if all := told.take(); len(all) != 0 {
				t.Errorf("%s: the Observer was told of an error that GetForURI has returned: %v", damage.what, all)
			}
			raw(t, s, `DELETE FROM chunk`)
			raw(t, s, `DELETE FROM media`)
		}
	})
}

// hurt runs such statements.
func hurt(t testing.TB, s *sqlitestore.Media, statements []string) {
	t.Helper()
	must(t, s.Store.Update(ctx, func(c *sqlite.Conn) error {
		x, uri, format, err := s.RowOf(ctx, c, file(1))
		if err != nil {
			return err
		}
		y, _, _, err := s.RowOf(ctx, c, file(2))
		if err != nil {
			return err
		}
		named := strings.NewReplacer("{X}", fmt.Sprintf("%x", x), "{Y}", fmt.Sprintf("%x", y), "{U}", fmt.Sprintf("%x", uri), "{F}", fmt.Sprintf("%x", format))
		for _, sql := range statements {
			if _, err := c.Exec(ctx, named.Replace(sql)); err != nil {
				return err
			}
		}
		return nil
	}))
}
