package mautrixstate_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"maunium.net/go/mautrix"
	"maunium.net/go/mautrix/event"

	"github.com/quiesce-go/quiesce/driver/sqlite"
	"github.com/quiesce-go/quiesce/driver/sqlite/mattn"
	"github.com/quiesce-go/quiesce/driver/sqlite/modernc"
	"github.com/quiesce-go/quiesce/matrixstores/memorystore"
	"github.com/quiesce-go/quiesce/matrixstores/sqlitestore"
	"github.com/quiesce-go/quiesce/matrixstores/state"
	"github.com/quiesce-go/quiesce/matrixstores/state/mautrixstate"
	"github.com/quiesce-go/quiesce/storekit/secret"
)

// A client of mautrix on real stores, against a homeserver that follows a script: what happened in response n can be read from the
// state afterwards, for every n. It leaves a state event of its own, sets the topic and the count of notifications to n, and the client's handler
// counts one up, through the Adapter.

// onStores are the stores that a client runs on.
var onStores = []struct {
	name string
	cgo  bool
	open func(dir string) (state.Store, error)
}{
	{"modernc, plain", false, inSQLite(modernc.Engine(), secret.Secret{})},
	{"mattn, encrypted", true, inSQLite(mattn.Engine(), secretKey)},
	{"modernc, encrypted", false, inSQLite(modernc.Engine(), secretKey)},
	{"mattn, plain", true, inSQLite(mattn.Engine(), secret.Secret{})},
	{"memory", false, func(string) (state.Store, error) {
		return memorystore.OpenState(context.Background(), memorystore.StateConfig{Config: memorystore.Config{Strict: true}})
	}},
}

var secretKey = secret.Key([]byte(strings.Repeat("k", 32)))

func inSQLite(engine sqlite.Engine, s secret.Secret) func(dir string) (state.Store, error) {
	return func(dir string) (state.Store, error) {
		return sqlitestore.OpenState(context.Background(), sqlitestore.StateConfig{Config: sqlitestore.Config{
			Database: sqlite.Config{Engine: engine, Path: filepath.Join(dir, "state.db"), Verify: true}, Secret: s,
		}})
	}
}

// script is a homeserver whose response n is followed by response n+1, without an end until last is set.
type script struct {
	*httptest.Server
	asked    atomic.Int64 // the latest response that a client has said to have
	answered atomic.Int64 // the latest that it was given
	last     atomic.Int64
	atEnd    chan struct{} // closed when a client has said to have the last one
	silence  sync.RWMutex  // nothing is answered while it is locked
}

func newScript(t *testing.T, point func(where string)) *script {
	t.Helper()
	s := &script{atEnd: make(chan struct{})}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /_matrix/client/v3/user/{user}/filter", func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, `{"filter_id":"1"}`) })
	var once sync.Once
	mux.HandleFunc("GET /_matrix/client/v3/sync", func(w http.ResponseWriter, r *http.Request) {
		n := numberOf(r.URL.Query().Get("since"))
		s.asked.Store(int64(n))
		point("at the server")
		if last := s.last.Load(); last != 0 && int64(n) >= last {
			once.Do(func() { close(s.atEnd) })
			<-r.Context().Done()
			return
		}
		s.silence.RLock()
		defer s.silence.RUnlock()
		n++
		s.answered.Store(int64(n))
		fmt.Fprintf(w, `{"next_batch":"s%[1]d","rooms":{"join":{"!r":{"unread_notifications":{"notification_count":%[1]d},"timeline":{"events":[
			{"type":"x.response","state_key":"%[1]d","event_id":"$r%[1]d","sender":"@a:x","content":{}},
			{"type":"m.room.topic","state_key":"","event_id":"$t%[1]d","sender":"@a:x","content":{"topic":"%[1]d"}}]}}}}}`, n)
	})
	s.Server = httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s
}

// numberOf is the response that a token stands behind.
func numberOf(token string) (n int) {
	if _, err := fmt.Sscanf(token, "s%d", &n); err != nil {
		return 0
	}
	return n
}

// syncOn runs a client of mautrix on a store, as a program does that has just been started, until the context ends or something fails.
func syncOn(ctx context.Context, store state.Store, url string, transport *http.Client, point func(where string)) error {
	failed := make(chan error, 1)
	fail := func(err error) {
		select {
		case failed <- err:
		default:
		}
	}
	a := mautrixstate.New(store, me, mautrixstate.Options{Observe: func(f mautrixstate.Failure) { fail(f) }})
	s := mautrixstate.NewSyncer(a, mautrixstate.SyncerOptions{BeforeCommit: func(context.Context, *mautrix.RespSync) error {
		point("before the commit")
		return nil
	}})
	client, err := mautrix.NewClient(url, me, "token")
	if err != nil {
		return err
	}
	client.Store, client.StateStore, client.Syncer, client.Client = a, a, s, transport
	s.OnEvent(client.StateStoreSyncHandler)
	s.OnEventType(event.StateTopic, func(inside context.Context, evt *event.Event) {
		point("in a handler")
		if err := countUp(inside, a); err != nil && ctx.Err() == nil {
			fail(err)
		}
	})
	err = client.SyncWithContext(ctx)
	select {
	case cause := <-failed:
		return errors.Join(cause, err)
	default:
		return err
	}
}

// countUp adds one to a number in the state.
func countUp(ctx context.Context, a *mautrixstate.Adapter) error {
	levels, err := a.GetPowerLevels(ctx, room)
	if err != nil {
		return err
	}
	if levels == nil {
		levels = &event.PowerLevelsEventContent{}
	}
	return a.SetPowerLevels(ctx, room, &event.PowerLevelsEventContent{UsersDefault: levels.UsersDefault + 1})
}

// applied returns the response of the token in a store, and an error unless the state is exactly what the responses up to
// that one make of it, each once. A sync may go on meanwhile, and come to its end soon.
func applied(ctx context.Context, store state.Store) (int, error) {
	for {
		before, _, err := state.Get(ctx, store, state.SyncToken())
		if err != nil {
			return 0, err
		}
		n := numberOf(before)
		wrong := agrees(ctx, store, n)
		after, _, err := state.Get(ctx, store, state.SyncToken())
		if err != nil {
			return 0, err
		}
		if after == before { // tokens never come again, so this is what the store was all the while
			return n, wrong
		}
	}
}

func agrees(ctx context.Context, store state.Store, n int) error {
	events, err := store.StateEvents(ctx, room, "x.response")
	if err != nil {
		return err
	}
	seen := map[string]bool{}
	for _, e := range events {
		seen[e.StateKey] = true
	}
	for i := 1; i <= n; i++ {
		if !seen[fmt.Sprint(i)] {
			return fmt.Errorf("the token is that of response %d, and response %d is not in the state", n, i)
		}
	}
	if len(events) != n {
		return fmt.Errorf("the token is that of response %d, and the state has %d responses", n, len(events))
	}
	if n == 0 {
		return nil
	}
	topic, _, err := store.StateEvent(ctx, room, event.StateTopic.Type, "")
	if err != nil {
		return err
	}
	levels, err := mautrixstate.New(store, me, mautrixstate.Options{}).GetPowerLevels(ctx, room)
	if err != nil {
		return err
	}
	info, err := store.RoomInfo(ctx, room)
	if err != nil {
		return err
	}
	switch {
	case !strings.Contains(string(topic.Raw), fmt.Sprintf(`"topic":"%d"`, n)):
		return fmt.Errorf("the token is that of response %d, and the topic another: %s", n, topic.Raw)
	case levels == nil || levels.UsersDefault != n:
		return fmt.Errorf("the token is that of response %d, and handlers have counted otherwise: %+v", n, levels)
	case info == nil || info.Counts.Notifications != int64(n):
		return fmt.Errorf("the token is that of response %d, and the room's information is %+v", n, info)
	}
	return nil
}
