package memorystore_test

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"

	"maunium.net/go/mautrix/id"

	"github.com/quiesce-go/quiesce/conformance"
	"github.com/quiesce-go/quiesce/driver/memory"
	"github.com/quiesce-go/quiesce/internal/tier"
	"github.com/quiesce-go/quiesce/matrixstores/eventcache"
	"github.com/quiesce-go/quiesce/matrixstores/media"
	"github.com/quiesce-go/quiesce/matrixstores/memorystore"
)

// TestEventCacheConformance: an event cache keeps every promise of pausing that fits what lives in memory.
func TestEventCacheConformance(t *testing.T) { conformanceOf(t, eventCacheLifecycle) }

// TestMediaConformance: so does a media store.
func TestMediaConformance(t *testing.T) { conformanceOf(t, mediaLifecycle) }

func BenchmarkEventCacheConformance(b *testing.B) { benchConformanceOf(b, eventCacheLifecycle) }
func BenchmarkMediaConformance(b *testing.B)      { benchConformanceOf(b, mediaLifecycle) }

func conformanceOf(t *testing.T, harness func(strict bool) *conformance.Harness) {
	onModes(t, func(t *testing.T, strict bool) {
		for i := range tier.Count(1, 3, 30) {
			t.Run(fmt.Sprint("run=", i+1), func(t *testing.T) {
				conformance.Run(t, func() *conformance.Harness { return harness(strict) })
			})
		}
	})
}

func benchConformanceOf(b *testing.B, harness func(strict bool) *conformance.Harness) {
	onModes(b, func(b *testing.B, strict bool) {
		conformance.Bench(b, func() *conformance.Harness { return harness(strict) })
	})
}

// lifecycleConfig is a store as a case of the suite wants it.
func lifecycleConfig(strict bool, o conformance.Options) memorystore.Config {
	return memorystore.Config{Strict: strict, StartPaused: o.StartPaused, WhenPaused: o.WhenPaused, Timeout: o.Timeout, Grace: o.Grace}
}

// lifecycleWithout is what no store in memory has.
func lifecycleWithout(strict bool) map[conformance.Capability]string {
	w := without(strict)
	for c, reason := range map[conformance.Capability]string{
		conformance.Sever:    "there is no connection to cut",
		conformance.Hooks:    "nothing is opened or released",
		conformance.Settings: "there are no connections",
		conformance.Leak:     "a snapshot holds nothing",
		conformance.Identity: "nobody else can replace what is in memory",
		conformance.Schema:   "nobody else can change what is in memory",
		conformance.Shared:   "nobody else can see what is in memory",
	} {
		w[c] = reason
	}
	return w
}

func eventCacheLifecycle(strict bool) *conformance.Harness {
	return &conformance.Harness{
		Open: func(ctx context.Context, _ string, o conformance.Options) (conformance.Store, error) {
			s, err := memorystore.OpenEventCache(ctx, memorystore.EventCacheConfig{Config: lifecycleConfig(strict, o)})
			return cacheOfEvents{s}, err
		},
		Without: lifecycleWithout(strict),
	}
}

// cacheOfEvents shows an event cache to the suite: a key is an event's id, a value is in its JSON.
type cacheOfEvents struct{ *memorystore.EventCache }

func (s cacheOfEvents) Read(ctx context.Context, fn func(conformance.Tx) error) error {
	return s.View(ctx, func(t *memory.Txn) error { return fn(s.tx(t)) })
}

func (s cacheOfEvents) Write(ctx context.Context, fn func(conformance.Tx) error) error {
	return s.Update(ctx, func(t *memory.Txn) error { return fn(s.tx(t)) })
}

func (s cacheOfEvents) tx(t *memory.Txn) conformance.Tx {
	const room = "!suite:example.org"
	return conformance.Tx{
		Get: func(key string) (value string, err error) {
			e, found, err := s.FindEventIn(t, room, id.EventID(key))
			if err != nil || !found {
				return "", err
			}
			var body struct{ Value string }
			err = json.Unmarshal(e.Raw, &body)
			return body.Value, err
		},
		Put: func(key, value string) error {
			raw, err := json.Marshal(struct{ Value string }{value})
			if err != nil {
				return err
			}
			return s.SaveEventsIn(t, room, eventcache.Event{ID: id.EventID(key), Raw: raw})
		},
	}
}

func mediaLifecycle(strict bool) *conformance.Harness {
	return &conformance.Harness{
		Open: func(ctx context.Context, _ string, o conformance.Options) (conformance.Store, error) {
			m, err := memorystore.OpenMedia(ctx, memorystore.MediaConfig{Config: lifecycleConfig(strict, o)})
			return mediaStore{m}, err
		},
		Without: lifecycleWithout(strict),
	}
}

// mediaStore shows a media store to the suite: a key is a URI, a value its content.
type mediaStore struct{ *memorystore.Media }

func (s mediaStore) Read(ctx context.Context, fn func(conformance.Tx) error) error {
	return s.View(ctx, func(t *memory.Txn) error { return fn(s.tx(t)) })
}

func (s mediaStore) Write(ctx context.Context, fn func(conformance.Tx) error) error {
	return s.Update(ctx, func(t *memory.Txn) error { return fn(s.tx(t)) })
}

func (s mediaStore) tx(t *memory.Txn) conformance.Tx {
	request := func(key string) media.Request { return media.File(id.ContentURIString("mxc://example.org/" + key)) }
	return conformance.Tx{
		Get: func(key string) (string, error) {
			data, err := s.GetIn(t, request(key))
			return string(data), err
		},
		Put: func(key, value string) error { return s.AddIn(t, request(key), []byte(value)) },
	}
}
