package memorystore_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"maunium.net/go/mautrix/id"

	"github.com/quiesce-go/quiesce/matrixstores/eventcache"
	"github.com/quiesce-go/quiesce/matrixstores/memorystore"
)

// watchdog is for what should take no time.
const watchdog = 30 * time.Second

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// eventually waits until something is so.
func eventually(t testing.TB, what string, so func() bool) {
	t.Helper()
	for end := time.Now().Add(watchdog); !so(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("after %v it is still not so that %s", watchdog, what)
		}
	}
}

// openEventCache opens a store that is closed at the end, and leaves no goroutine then.
func openEventCache(t testing.TB, cfg memorystore.EventCacheConfig) *memorystore.EventCache {
	t.Helper()
	leavesNothing(t)
	s, err := memorystore.OpenEventCache(t.Context(), cfg)
	must(t, err)
	t.Cleanup(func() { must(t, s.Close(context.Background())) })
	return s
}

// openMedia does the same.
func openMedia(t testing.TB, cfg memorystore.MediaConfig) *memorystore.Media {
	t.Helper()
	leavesNothing(t)
	m, err := memorystore.OpenMedia(t.Context(), cfg)
	must(t, err)
	t.Cleanup(func() { must(t, m.Close(context.Background())) })
	return m
}

// leavesNothing checks, after what is registered later, that no goroutine is left that is not here now.
func leavesNothing(t testing.TB) {
	before := goleak.IgnoreCurrent()
	t.Cleanup(func() {
		if err := goleak.Find(before); err != nil {
			t.Errorf("a store is closed, and has left a goroutine: %v", err)
		}
	})
}

// message is an event with so many bytes of text.
func message(n, size int) eventcache.Event {
	which := id.EventID(fmt.Sprintf("$%043d", n))
	return eventcache.Event{ID: which, Type: "m.room.message", Raw: json.RawMessage(fmt.Sprintf(
		`{"event_id":%q,"type":"m.room.message","sender":"@alice:example.org","origin_server_ts":1700000000000,"content":{"msgtype":"m.text","body":%q}}`,
		which, strings.Repeat("x", size)))}
}

func manyEvents(n int) []eventcache.Event {
	all := make([]eventcache.Event, n)
	for i := range all {
		all[i] = message(i, 4000)
	}
	return all
}
