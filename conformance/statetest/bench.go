package statetest

// The workloads of matrix-rust-sdk's benchmarks that are about a state store, and a send queue.

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"testing"
	"time"

	"maunium.net/go/mautrix/id"

	"github.com/quiesce-go/quiesce/matrixstores/state"
)

// Bench measures a store, in sub-benchmarks with the same names for every store, so that their tables can be compared with benchstat. BE-01 and
// BE-11 are rows of matrix-rust-sdk's benchmarks:
//
//	BE-01/rooms=2000/save     storing so many rooms in one Changes, half of them joined and half invited
//	BE-01/rooms=2000/load     loading them all
//	BE-11/members=10000       storing so many members of a room in one Changes; they are there already, as when they are fetched again
//	SendQueue                 appending an event to a queue, and removing it when it was sent
//
// With QUIESCE_BENCH_LARGE=1 in the environment there are 20,000 rooms and 100,000 members. Besides ns/op they report ns/room and ns/member.
func Bench(b *testing.B, newHarness func() *Harness) {
	rooms, members := 2000, 10_000
	if os.Getenv("QUIESCE_BENCH_LARGE") == "1" {
		rooms, members = 20_000, 100_000
	}
	run := func(name string, do func(b *testing.B, s state.Store)) {
		b.Run(name, func(b *testing.B) {
			s, err := newHarness().Open(b.Context(), b.TempDir(), Options{Clock: time.Now})
			if err != nil {
				b.Fatal(err)
			}
			defer func() {
				if err := s.Close(context.Background()); err != nil {
					b.Error(err)
				}
			}()
			b.ReportAllocs()
			do(b, s)
		})
	}
	each := func(b *testing.B, n int, unit string) {
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), unit)
	}
	run(fmt.Sprintf("BE-01/rooms=%d/save", rooms), func(b *testing.B, s state.Store) {
		c := benchRooms(rooms)
		for b.Loop() {
			benchMust(b, s.SaveChanges(b.Context(), c))
		}
		each(b, rooms, "ns/room")
	})
	run(fmt.Sprintf("BE-01/rooms=%d/load", rooms), func(b *testing.B, s state.Store) {
		benchMust(b, s.SaveChanges(b.Context(), benchRooms(rooms)))
		for b.Loop() {
			infos, err := s.RoomInfos(b.Context())
			benchMust(b, err)
			if len(infos) != rooms {
				b.Fatalf("%d of %d rooms were loaded", len(infos), rooms)
			}
		}
		each(b, rooms, "ns/room")
	})
	run(fmt.Sprintf("BE-11/members=%d", members), func(b *testing.B, s state.Store) {
		c, err := benchMembers(members)
		benchMust(b, err)
		benchMust(b, s.SaveChanges(b.Context(), c))
		for b.Loop() {
			benchMust(b, s.SaveChanges(b.Context(), c))
		}
		each(b, members, "ns/member")
	})
	run("SendQueue", func(b *testing.B, s state.Store) {
		const room id.RoomID = "!queue:example.org"
		r := state.QueuedRequest{Request: &state.EventRequest{
			Type: "m.room.message", Content: json.RawMessage(`{"msgtype":"m.text","body":"a message of the usual length, which is to be sent when there is a network again"}`),
		}}
		for i := 0; b.Loop(); i++ {
			r.TransactionID = fmt.Sprintf("transaction-%d", i)
			benchMust(b, s.SaveRequest(b.Context(), room, r))
			removed, err := s.RemoveRequest(b.Context(), room, r.TransactionID)
			benchMust(b, err)
			if !removed {
				b.Fatal("a request that was saved is not there")
			}
		}
	})
}

func benchMust(b *testing.B, err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}

// benchRooms are rooms of which nothing is known yet, half of them joined. The ids of one in twenty are hashes.
func benchRooms(n int) *state.Changes {
	c := &state.Changes{RoomInfos: make(map[id.RoomID]*state.RoomInfo, n)}
	for i := range n {
		room := id.RoomID(fmt.Sprintf("!name%05d:example.com", i))
		if i%20 == 0 {
			room = id.RoomID(fmt.Sprintf("!%043d", i))
		}
		is := state.Joined
		if i%2 == 1 {
			is = state.Invited
		}
		c.RoomInfos[room] = state.NewRoomInfo(room, is)
	}
	return c
}

// benchMembers are joined members of one room, each with a name and a picture.
func benchMembers(n int) (*state.Changes, error) {
	const room id.RoomID = "!members:example.org"
	c := &state.Changes{User: "@me:example.org"}
	c.Update(room).State = state.Joined
	for i := range n {
		err := c.AddState(room, fmt.Appendf(nil, `{"type":"m.room.member","state_key":"@user%[1]d:example.org","event_id":"$%043[1]d","sender":"@user%[1]d:example.org","origin_server_ts":1767225600000,`+
			`"content":{"membership":"join","displayname":"User number %[1]d","avatar_url":"mxc://example.org/avatar%[1]d"}}`, i))
		if err != nil {
			return nil, err
		}
	}
	return c, nil
}
