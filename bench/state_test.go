package bench

import (
	"context"
	"database/sql"
	"fmt"
	"path/filepath"
	"testing"

	"go.mau.fi/util/dbutil"
	"maunium.net/go/mautrix"
	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"
	"maunium.net/go/mautrix/sqlstatestore"

	"github.com/quiesce-go/quiesce/driver/sqlite"
	"github.com/quiesce-go/quiesce/driver/sqlite/mattn"
	"github.com/quiesce-go/quiesce/driver/sqlite/modernc"
	"github.com/quiesce-go/quiesce/matrixstores/sqlitestore"
	"github.com/quiesce-go/quiesce/matrixstores/state/mautrixstate"
)

// The state store through mautrixstate.Adapter, beside sqlstatestore, mautrix's own, on dbutil: a *sql.DB with the settings of
// our store. That one keeps members, power levels, join rules, the create event and the encryption, in the clear; ours keeps all state, and the token.

const me id.UserID = "@me:example.org"

var ctx = context.Background()

// pool is a *sql.DB with the settings that driver/sqlite has by default.
func pool(b testing.TB, engine sqlite.Engine, path string) *sql.DB {
	b.Helper()
	driver, parameters := "sqlite", "_pragma=journal_mode(wal)&_pragma=synchronous(normal)&_pragma=foreign_keys(1)&_pragma=busy_timeout(5000)&_pragma=cache_size(-1953)"
	if engine.Name() == "mattn" {
		driver, parameters = "sqlite3", "_journal_mode=WAL&_synchronous=NORMAL&_foreign_keys=1&_busy_timeout=5000&_cache_size=-1953"
	}
	db, err := sql.Open(driver, "file:"+path+"?_txlock=immediate&"+parameters)
	must(b, err)
	db.SetMaxIdleConns(5) // two is the default: with it, a pool would open connections again and again
	b.Cleanup(func() { must(b, db.Close()) })
	return db
}

func theirs(b testing.TB, engine sqlite.Engine) *sqlstatestore.SQLStateStore {
	b.Helper()
	db, err := dbutil.NewWithDB(pool(b, engine, filepath.Join(b.TempDir(), "peer.db")), "sqlite3")
	must(b, err)
	s := sqlstatestore.NewSQLStateStore(db, dbutil.NoopLogger, false)
	must(b, s.Upgrade(ctx))
	return s
}

func ours(b testing.TB, engine sqlite.Engine) *mautrixstate.Adapter {
	b.Helper()
	s, err := sqlitestore.OpenState(ctx, sqlitestore.StateConfig{Config: sqlitestore.Config{
		Database: sqlite.Config{Engine: engine, Path: filepath.Join(b.TempDir(), "ours.db")},
	}})
	must(b, err)
	b.Cleanup(func() { must(b, s.Close(ctx)) })
	return mautrixstate.New(s, me, mautrixstate.Options{Observe: func(f mautrixstate.Failure) { b.Error(f) }})
}

func must(b testing.TB, err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}

// onEngines runs a benchmark on both engines.
func onEngines(b *testing.B, bench func(b *testing.B, engine sqlite.Engine)) {
	for _, engine := range []sqlite.Engine{modernc.Engine(), mattn.Engine()} {
		b.Run("engine="+engine.Name(), func(b *testing.B) {
			if engine.Name() == "mattn" && !withCgo {
				b.Skip("the mattn engine needs cgo")
			}
			bench(b, engine)
		})
	}
}

const (
	large, small, unknown id.RoomID = "!large:example.org", "!small:example.org", "!unknown:example.org"
	members                         = 10_000
)

func user(n int) id.UserID { return id.UserID(fmt.Sprintf("@user%d:example.org", n)) }

func member(n int) *event.MemberEventContent {
	return &event.MemberEventContent{
		Membership: event.MembershipJoin, Displayname: fmt.Sprintf("User number %d", n), AvatarURL: id.ContentURIString(fmt.Sprintf("mxc://example.org/avatar%d", n)),
	}
}

func stateEvent(room id.RoomID, t event.Type, key string, n int, content any) *event.Event {
	return &event.Event{
		ID: id.EventID(fmt.Sprintf("$event-%037d", n)), RoomID: room, Sender: "@admin:example.org", Type: t, StateKey: &key, Timestamp: 1_700_000_000_000 + int64(n),
		Content: event.Content{Parsed: content},
	}
}

// fill gives a store what is asked for: an encrypted room of 10,000, and one that is neither.
func fill(b testing.TB, s mautrix.StateStore) {
	b.Helper()
	evts := make([]*event.Event, members)
	for i := range evts {
		evts[i] = stateEvent(large, event.StateMember, string(user(i)), i, member(i))
	}
	must(b, s.ReplaceCachedMembers(ctx, large, evts))
	must(b, s.SetEncryptionEvent(ctx, large, &event.EncryptionEventContent{Algorithm: id.AlgorithmMegolmV1}))
	must(b, s.SetPowerLevels(ctx, large, levels(1)))
	must(b, s.SetMember(ctx, small, user(0), member(0)))
}

func levels(n int) *event.PowerLevelsEventContent {
	return &event.PowerLevelsEventContent{Users: map[id.UserID]int{user(0): 100, user(n): 50}, Events: map[string]int{"m.room.name": 50}}
}

// BenchmarkState compares single calls.
func BenchmarkState(b *testing.B) {
	rows := []struct {
		name  string
		block int
		call  func(s mautrix.StateStore, i int) error
	}{
		{"IsEncrypted", 500, func(s mautrix.StateStore, i int) error {
			return is(true)(s.IsEncrypted(ctx, large))
		}},
		{"IsEncrypted, of a room that is not", 500, func(s mautrix.StateStore, i int) error {
			return is(false)(s.IsEncrypted(ctx, small))
		}},
		{"IsEncrypted, of an unknown room", 500, func(s mautrix.StateStore, i int) error {
			return is(false)(s.IsEncrypted(ctx, unknown))
		}},
		{"IsInRoom", 500, func(s mautrix.StateStore, i int) error {
			return is(true)(s.IsInRoom(ctx, large, user(i*7919%members)), nil)
		}},
		{"GetMember", 500, func(s mautrix.StateStore, i int) error {
			m, err := s.GetMember(ctx, large, user(i*7919%members))
			return is(event.MembershipJoin)(m.Membership, err)
		}},
		{"GetMember, of an unknown one", 500, func(s mautrix.StateStore, i int) error {
			m, err := s.GetMember(ctx, large, "@nobody:example.org")
			return is(event.MembershipLeave)(m.Membership, err)
		}},
		{"GetPowerLevels", 500, func(s mautrix.StateStore, i int) error {
			_, err := s.GetPowerLevels(ctx, large)
			return err
		}},
		{"GetAllMembers of 10,000", 1, func(s mautrix.StateStore, i int) error {
			all, err := s.GetAllMembers(ctx, large)
			return is(members)(len(all), err)
		}},
		{"GetRoomJoinedOrInvitedMembers of 10,000", 1, func(s mautrix.StateStore, i int) error {
			all, err := s.GetRoomJoinedOrInvitedMembers(ctx, large)
			return is(members)(len(all), err)
		}},
		{"SetMember", 100, func(s mautrix.StateStore, i int) error { return s.SetMember(ctx, small, user(i%1000), member(i)) }},
		{"SetMembership", 100, func(s mautrix.StateStore, i int) error {
			return s.SetMembership(ctx, small, user(i%1000), []event.Membership{event.MembershipJoin, event.MembershipLeave}[i/1000%2])
		}},
		{"SetPowerLevels", 100, func(s mautrix.StateStore, i int) error { return s.SetPowerLevels(ctx, small, levels(i)) }},
		{"UpdateState", 100, func(s mautrix.StateStore, i int) error {
			mautrix.UpdateStateStore(ctx, s, stateEvent(small, event.StateMember, string(user(i%1000)), i, member(i)))
			return nil
		}},
		{"ReplaceCachedMembers of 1,000", 1, func(s mautrix.StateStore, i int) error {
			evts := make([]*event.Event, 1000)
			for n := range evts {
				evts[n] = stateEvent("!replaced:example.org", event.StateMember, string(user(n)), i*1000+n, member(n))
			}
			return s.ReplaceCachedMembers(ctx, "!replaced:example.org", evts)
		}},
	}
	onEngines(b, func(b *testing.B, engine sqlite.Engine) {
		our, their := ours(b, engine), theirs(b, engine)
		fill(b, our)
		fill(b, their)
		for _, row := range rows {
			b.Run(row.name, func(b *testing.B) {
				calls := func(s mautrix.StateStore) side {
					i := 0
					return func(n int) error {
						for range n {
							if err := row.call(s, i); err != nil {
								return err
							}
							i++
						}
						return nil
					}
				}
				versus(b, row.block, calls(our), calls(their))
			})
		}
	})
}

// is returns what an answer is held against.
func is[T comparable](want T) func(got T, err error) error {
	return func(got T, err error) error {
		if err == nil && got != want {
			err = fmt.Errorf("the answer is %v, and should be %v", got, want)
		}
		return err
	}
}
