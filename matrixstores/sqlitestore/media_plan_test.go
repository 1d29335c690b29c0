package sqlitestore_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/quiesce-go/quiesce/driver/sqlite"
	"github.com/quiesce-go/quiesce/driver/sqlite/modernc"
	"github.com/quiesce-go/quiesce/matrixstores/media"
	"github.com/quiesce-go/quiesce/matrixstores/sqlitestore"
)

var mediaTables = []string{"media", "chunk", "upload", "total"}

// mediaPlans are the statements that read all of a table, or sort.
var mediaPlans = map[string]string{
	`SELECT ignore_policy, contents, bytes FROM total`:                                            "it has two rows, and no more ever",
	`SELECT content, touched FROM upload`:                                                         "one row for each Writer that is in use, or was left behind within the last hour",
	`SELECT content, size, last_access, ignore_policy, info FROM media WHERE uri = ? ORDER BY id`: "it sorts the formats of one URI",
}

// checkMediaPlans fails where a statement of the media store scans a table that
// grows, with statistics or without. Cleaning has to read contents in the order in which
// an index has them, and of the contents themselves nothing.
func checkMediaPlans(t *testing.T, statements []string) {
	statements = slices.DeleteFunc(statements, func(s string) bool { return strings.Contains(s, "/* of a test */") })
	if len(statements) < 20 {
		t.Fatalf("only %d statements were seen: the engine does not see them all\n%s", len(statements), strings.Join(statements, "\n"))
	}
	t.Logf("%d statements", len(statements))
	cfg := mediaConfig(t.TempDir(), modernc.Engine())
	now := newClock()
	cfg.Clock = now.now
	s := openMedia(t, cfg)
	for i := range 1500 {
		now.add(time.Millisecond)
		r := media.Thumbnail(file(i/3).URI, i%3, 10)
		_, err := s.Add(ctx, r, pattern(uint32(i), i%100), media.AddOptions{IgnorePolicy: i%10 == 0})
		must(t, err)
	}
	commit(t, write(t, s, file(1), pattern(1, 20*chunkSize), chunkSize, media.AddOptions{}))
	for _, statistics := range []bool{false, true} {
		if statistics {
			must(t, s.Update(ctx, func(c *sqlite.Conn) error { return c.ExecScript(ctx, `ANALYZE`) }))
			must(t, s.Pause(ctx)) // so that every connection reads them
			must(t, s.Resume(ctx))
		}
		t.Run(fmt.Sprint("statistics=", statistics), func(t *testing.T) {
			checkPlans(t, s, statements, mediaPlans)
			checkCleaning(t, s, statements)
		})
	}
	for statement := range mediaPlans {
		if !slices.Contains(statements, statement) {
			t.Errorf("%q is allowed, and does not exist", statement)
		}
	}
}

// checkCleaning looks at what a cleaning looks for.
func checkCleaning(t *testing.T, s *sqlitestore.Media, statements []string) {
	seen := 0
	for _, statement := range statements {
		index := ""
		switch {
		case strings.Contains(statement, "ignore_policy = 0 AND size >"):
			index = "INDEX media_large"
		case strings.Contains(statement, "ignore_policy = 0 AND last_access <="):
			index = "INDEX media_unread"
		default:
			continue
		}
		seen++
		must(t, s.View(ctx, func(c *sqlite.Conn) error {
			return c.Each(ctx, "EXPLAIN QUERY PLAN "+statement, func(r *sqlite.Row) error {
				if detail := r.Value(3).(string); !strings.Contains(detail, index) || strings.Contains(detail, "chunk") {
					t.Errorf("%s\n\tis answered by %q, and not by the %s", statement, detail, index)
				}
				return nil
			}, arguments(statement)...)
		}))
	}
	if seen != 2 {
		t.Errorf("%d statements look for what is to be cleaned, want 2", seen)
	}
}
