package mautrixstate_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"testing"

	"maunium.net/go/mautrix"
	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"

	"github.com/quiesce-go/quiesce/matrixstores/state"
	"github.com/quiesce-go/quiesce/matrixstores/state/mautrixstate"
)

// save stores a Changes past the Adapter.
func (f *fixture) save(build func(c *state.Changes)) {
	f.Helper()
	c := &state.Changes{User: me}
	build(c)
	f.must(f.store.SaveChanges(f.ctx, c))
}

// TestARoomThatWasEncryptedIsSoAlsoWhereItsStateIsGone: who leaves an encrypted room and is invited to it again sees no encryption event; and
// yet what he sends there must be encrypted.
func TestARoomThatWasEncryptedIsSoAlsoWhereItsStateIsGone(t *testing.T) {
	f := newFixture(t)
	f.save(func(c *state.Changes) {
		for _, r := range []id.RoomID{room, other} {
			c.Update(r).State = state.Joined
			for _, user := range []id.UserID{me, "@a:x"} {
				f.must(c.AddState(r, []byte(fmt.Sprintf(`{"type":"m.room.member","state_key":%q,"sender":%[1]q,"content":{"membership":"join"}}`, user))))
			}
		}
		f.must(c.AddState(room, []byte(`{"type":"m.room.encryption","state_key":"","content":{"algorithm":"m.megolm.v1.aes-sha2"}}`)))
	})
	f.save(func(c *state.Changes) { c.Update(room).State, c.Update(other).State = state.Left, state.Left })
	f.save(func(c *state.Changes) {
		for _, r := range []id.RoomID{room, other} {
			c.Update(r).State = state.Invited
			f.must(c.AddStripped(r, []byte(`{"type":"m.room.member","state_key":"@a:x","sender":"@a:x","content":{"membership":"join"}}`)))
		}
	})
	if e, found, err := f.store.StateEvent(f.ctx, room, event.StateEncryption.Type, ""); found || err != nil {
		t.Fatalf("the encryption event is still there: this tests nothing: %+v (%v)", e, err)
	}
	for r, want := range map[id.RoomID]bool{room: true, other: false, "!unknown": false} {
		encrypted, err := f.IsEncrypted(f.ctx, r)
		f.must(err)
		f.want("that it is encrypted", fmt.Sprint(r, encrypted), fmt.Sprint(r, want))
	}
	shared, err := f.FindSharedRooms(f.ctx, "@a:x")
	f.must(err)
	f.want("the encrypted rooms that both are in", shared, "[!r]")
}

// TestSharedRoomsAmidABigResponseAreFoundWithoutLookingAtEachOfItsRooms: of a response of many rooms a handler asks for those that it shares with a user, as it
// does for each device list that has changed. The store is asked about the rooms in which the user is, and about no other.
func TestSharedRoomsAmidABigResponseAreFoundWithoutLookingAtEachOfItsRooms(t *testing.T) {
	f := newFixture(t)
	syncer := mautrixstate.NewSyncer(f.Adapter, mautrixstate.SyncerOptions{})
	asked := map[string]int{}
	counting := false
	fail := f.store.Fail
	f.store.Fail = func(ctx context.Context, operation string) error { // called by the one goroutine that processes
		if counting {
			asked[operation]++
		}
		return fail(ctx, operation)
	}
	enc := `{"type":"m.room.encryption","state_key":"","event_id":"$e","sender":"@a:x","content":{"algorithm":"m.megolm.v1.aes-sha2"}}`
	member := func(user id.UserID, membership string) string {
		return fmt.Sprintf(`{"type":"m.room.member","state_key":%q,"event_id":"$m%[1]s","sender":%[1]q,"content":{"membership":%q}}`, user, membership)
	}
	const many = 500
	f.save(func(c *state.Changes) {
		for _, r := range []id.RoomID{"!stays", "!leaves", "!untouched", "!5"} {
			c.Update(r).State = state.Joined
			f.must(c.AddState(r, []byte(member("@a:x", "join"))))
			f.must(c.AddState(r, []byte(enc)))
		}
	})
	join := map[string]any{}
	add := func(r string, events ...string) {
		raw := make([]json.RawMessage, len(events))
		for i, e := range events {
			raw[i] = json.RawMessage(e)
		}
		join[r] = map[string]any{"state": map[string]any{"events": raw}}
	}
	for i := range many {
		add(fmt.Sprintf("!%d", i), enc, member("@b:x", "join"))
	}
	add("!stays", member("@b:x", "join"))
	add("!leaves", member("@a:x", "leave"))
	add("!comes", enc, member("@a:x", "invite"))
	text, err := json.Marshal(map[string]any{"next_batch": "1", "rooms": map[string]any{"join": join}})
	f.must(err)
	var shared []id.RoomID
	syncer.OnSync(func(ctx context.Context, _ *mautrix.RespSync, _ string) bool {
		counting = true
		shared, err = f.FindSharedRooms(ctx, "@a:x")
		counting = false
		return true
	})
	f.must(syncer.ProcessResponse(f.ctx, response(t, string(text)), ""))
	f.must(err)
	slices.Sort(shared)
	f.want("the shared rooms", shared, "[!5 !comes !stays !untouched]")
	total := 0
	for _, n := range asked {
		total += n
	}
	if total == 0 || total > 30 {
		t.Errorf("the store was asked %d times, of %d rooms of which 5 matter: %v", total, many, asked)
	}
}
