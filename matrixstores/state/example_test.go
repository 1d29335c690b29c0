package state_test

import (
	"encoding/json"
	"fmt"

	"github.com/quiesce-go/quiesce/matrixstores/state"
)

// What a client has learnt is gathered in a Changes, and stored in one transaction.
func ExampleChanges() {
	c := &state.Changes{User: "@alice:example.org", SyncToken: "s72595"}

	update := c.Update("!room:example.org")
	update.State = state.Joined
	update.Counts = &state.Counts{Notifications: 3}

	if err := c.AddState("!room:example.org", json.RawMessage(
		`{"type":"m.room.name","state_key":"","event_id":"$1","sender":"@bob:example.org","content":{"name":"Tea"}}`)); err != nil {
		fmt.Println(err)
	}
	c.AddReceipts("!room:example.org", state.Receipt{Event: "$1", Type: "m.read", Thread: state.MainThread, User: "@bob:example.org"})

	fmt.Println(c.Check()) // then: store.SaveChanges(ctx, c)
	// Output: <nil>
}

// Whoever calls himself like somebody else has the same NameKey.
func ExampleNameKey() {
	fmt.Println(state.NameKey("Alice") == state.NameKey("аlісе")) // three of them are Cyrillic
	fmt.Println(state.NameKey("Alice") == state.NameKey("Alicia"))
	// Output:
	// true
	// false
}

func ExampleRoomInfo_ComputeDisplayName() {
	info := state.NewRoomInfo("!room:example.org", state.Joined)
	heroes := []state.Hero{{User: "@bob:example.org", Name: "Bob"}, {User: "@carol:example.org", Name: "Carol"}}
	fmt.Println(info.ComputeDisplayName("@alice:example.org", heroes, 3))
	fmt.Println(info.ComputeDisplayName("@alice:example.org", heroes, 40))
	fmt.Println(info.ComputeDisplayName("@alice:example.org", heroes[:1], 1))
	// Output:
	// Bob and Carol
	// Bob, Carol and 37 others
	// Empty room (was Bob)
}
