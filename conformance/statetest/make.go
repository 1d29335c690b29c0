package statetest

// Events as cases make them.

import (
	"encoding/json"
	"fmt"
	"strings"

	"maunium.net/go/mautrix/id"

	"github.com/quiesce-go/quiesce/matrixstores/state"
)

const (
	me    id.UserID = "@me:example.org"
	alice id.UserID = "@alice:example.org"
	bob   id.UserID = "@bob:example.org"
	carol id.UserID = "@carol:example.org"

	kitchen id.RoomID = "!kitchen:example.org"
	garden  id.RoomID = "!garden:example.org"
)

// raw is JSON.
func raw(format string, args ...any) json.RawMessage {
	return json.RawMessage(fmt.Sprintf(format, args...))
}

// quoted is a text in JSON.
func quoted(text string) string {
	data, err := json.Marshal(text)
	if err != nil {
		panic(err)
	}
	return string(data)
}

// stateOf is a state event.
func stateOf(evt id.EventID, eventType, key string, sender id.UserID, content string) json.RawMessage {
	return raw(`{"event_id":%s,"type":%s,"state_key":%s,"sender":%s,"origin_server_ts":1234,"content":%s}`,
		quoted(string(evt)), quoted(eventType), quoted(key), quoted(string(sender)), content)
}

// memberOf is what a user says of himself.
func memberOf(user id.UserID, membership, name string) json.RawMessage {
	return stateOf(id.EventID("$"+membership+" of "+string(user)), "m.room.member", string(user), user,
		fmt.Sprintf(`{"membership":%s,"displayname":%s}`, quoted(membership), quoted(name)))
}

// member is what a store makes of memberOf.
func member(user id.UserID, membership, name string, stripped bool) state.Member {
	m, _ := state.ParseMember(state.StateEvent{StateKey: string(user), Raw: memberOf(user, membership, name), Stripped: stripped})
	return m
}

// add adds state events.
func add(c *state.Changes, room id.RoomID, events ...json.RawMessage) {
	for _, e := range events {
		if err := c.AddState(room, e); err != nil {
			panic(err)
		}
	}
}

// addStripped adds stripped ones.
func addStripped(c *state.Changes, room id.RoomID, events ...json.RawMessage) {
	for _, e := range events {
		if err := c.AddStripped(room, e); err != nil {
			panic(err)
		}
	}
}

// join makes a room one that the user is in.
func join(c *state.Changes, rooms ...id.RoomID) {
	for _, room := range rooms {
		c.Update(room).State = state.Joined
	}
}

// ids are names with numbers.
func ids[T ~string](format string, n int) (all []T) {
	for i := range n {
		all = append(all, T(fmt.Sprintf(format, i)))
	}
	return all
}

// strange are texts that a server may send, and that have to come back as they are.
var strange = []string{
	"Кухня", "厨房で", "مطبخ\u200f", "\u202eevil\u202c", "👩‍👩‍👧‍👦🏳️‍🌈", "zero\x00byte", "e\u0301 é", "ß ẞ ſ", "'; DROP TABLE room; --", `"\` + "`$(x)", "%_*?[a]",
	" space ", "\t\n\r", "\u2028\ufeff\ufffd\U0010ffff", "a:b", "a\x00", "a", strings.Repeat("длинно", 3000),
}

// ptr is a pointer to a value.
func ptr[T any](v T) *T { return &v }
