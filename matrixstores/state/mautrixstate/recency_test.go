package mautrixstate_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/quiesce-go/quiesce/matrixstores/state/mautrixstate"
)

// TestNoClockPinsARoomToTheTop: an event counts for the order of rooms as not later than it was received, whatever its sender's clock says: the
// next event of another room comes before it again. What the event itself says stays.
func TestNoClockPinsARoomToTheTop(t *testing.T) {
	const future = 9_000_000_000_000
	for name, first := range map[string]string{
		"a message":       `"join":{"!r":{"timeline":{"events":[{"type":"m.room.message","event_id":"$1","sender":"@a:x","origin_server_ts":9000000000000,"content":{}}]}}}`,
		"a first event":   `"join":{"!r":{"timeline":{"events":[{"type":"m.room.topic","state_key":"","event_id":"$1","sender":"@a:x","origin_server_ts":9000000000000,"content":{}}]}}}`,
		"an invite":       `"invite":{"!r":{"invite_state":{"events":[{"type":"m.room.member","state_key":"@me:x","sender":"@a:x","origin_server_ts":9000000000000,"content":{"membership":"invite"}}]}}}`,
		"one in time":     `"join":{"!r":{"timeline":{"events":[{"type":"m.room.message","event_id":"$1","sender":"@a:x","origin_server_ts":900,"content":{}}]}}}`,
		"one from before": `"join":{"!r":{"timeline":{"events":[{"type":"m.room.message","event_id":"$1","sender":"@a:x","origin_server_ts":-5,"content":{}}]}}}`,
	} {
		f := newFixture(t)
		now := time.UnixMilli(1000)
		a := mautrixstate.New(f.store, me, mautrixstate.Options{Now: func() time.Time { return now }})
		s := mautrixstate.NewSyncer(a, mautrixstate.SyncerOptions{})
		f.must(s.ProcessResponse(f.ctx, response(t, `{"next_batch":"1","rooms":{`+first+`}}`), ""))
		info, err := f.store.RoomInfo(f.ctx, room)
		f.must(err)
		want := map[string]int64{"one in time": 900, "one from before": 0}
		w, is := want[name]
		if !is {
			w = 1000
		}
		f.want("when something has happened last, by "+name, info.Recency, w)
		if info.Latest != nil && w == 1000 {
			f.want("the time of the event", info.Latest.Timestamp, future)
		}
		now = time.UnixMilli(2000)
		f.must(s.ProcessResponse(f.ctx, response(t, `{"next_batch":"2","rooms":{"join":{"!o":{"timeline":{"events":[
			{"type":"m.room.message","event_id":"$2","sender":"@b:x","origin_server_ts":1500,"content":{}}]}}}}}`), "1"))
		info, err = f.store.RoomInfo(f.ctx, other)
		f.must(err)
		f.want("that of the other room", info.Recency > w, true)
	}
	c, _ := mautrixstate.FromSyncAt(me, response(t, `{"next_batch":"1","rooms":{"join":{"!r":{"timeline":{"events":[
		{"type":"m.room.message","event_id":"$1","sender":"@a:x","origin_server_ts":9000000000000,"content":{}}]}}}}}`), time.UnixMilli(77))
	u := c.Updates[room]
	if got := fmt.Sprint(u.Recency, u.FirstRecency, u.Latest.Timestamp); got != "77 77 9000000000000" {
		t.Errorf("of a response that was received at 77: %s", got)
	}
	c, _ = mautrixstate.FromSync(me, response(t, `{"next_batch":"1","rooms":{"join":{"!r":{"timeline":{"events":[
		{"type":"m.room.message","event_id":"$1","sender":"@a:x","origin_server_ts":9000000000000,"content":{}}]}}}}}`))
	if got := c.Updates[room].Recency; got == 0 || got > time.Now().UnixMilli() {
		t.Errorf("of a response that was received just now: %d", got)
	}
}
