package mautrixstate_test

import (
	"fmt"
	"testing"

	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"

	"github.com/quiesce-go/quiesce/matrixstores/state"
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
