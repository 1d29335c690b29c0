package eventcachetest

// Short ways to say what is asked for: events, updates, and what a list looks like.

import (
	"encoding/json"
	"fmt"
	"strings"

	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"

	"github.com/quiesce-go/quiesce/matrixstores/eventcache"
)

const (
	roomA = id.RoomID("!a:example.org")
	roomB = id.RoomID("!b:example.org")
	roomC = id.RoomID("!c:example.org")
)

// with changes an event that is being made.
type with func(*eventcache.Event)

// ev makes a text message. Its Raw is different for every id and every body.
func ev(event id.EventID, changes ...with) eventcache.Event {
	e := eventcache.Event{ID: event, Type: "m.room.message"}
	e.Raw = raw(string(event), "hello")
	for _, change := range changes {
		change(&e)
	}
	return e
}

type jsonRaw = json.RawMessage

func raw(event, body string) json.RawMessage {
	type content struct {
		Body string `json:"body"`
	}
	b, err := json.Marshal(struct {
		ID      string  `json:"event_id"`
		Content content `json:"content"`
	}{event, content{body}})
	if err != nil {
		panic(err) // strings are always JSON
	}
	return b
}

func body(text string) with {
	return func(e *eventcache.Event) { e.Raw = raw(string(e.ID), text) }
}

func rawly(raw string) with { return func(e *eventcache.Event) { e.Raw = json.RawMessage(raw) } }

func typed(name string) with { return func(e *eventcache.Event) { e.Type = name } }

func session(s id.SessionID) with { return func(e *eventcache.Event) { e.Session = s } }

func meta(m *eventcache.Meta) with { return func(e *eventcache.Event) { e.Meta = m } }

func relates(to id.EventID, how event.RelationType) with {
	return func(e *eventcache.Event) { e.RelatesTo, e.RelType = to, how }
}

// evs makes plain events.
func evs(ids ...id.EventID) []eventcache.Event {
	var all []eventcache.Event
	for _, id := range ids {
		all = append(all, ev(id))
	}
	return all
}

// numbered makes the ids $0, $1, … with a prefix, in an order that sorting would destroy.
func numbered(prefix string, n int) []id.EventID {
	all := make([]id.EventID, n)
	for i := range all {
		all[i] = id.EventID(fmt.Sprintf("$%s%d", prefix, i))
	}
	return all
}

// The updates.

func items(previous, number, next eventcache.ChunkID) eventcache.Update {
	return eventcache.NewItemsChunk{Previous: previous, New: number, Next: next}
}

func gap(previous, number, next eventcache.ChunkID, token string) eventcache.Update {
	return eventcache.NewGapChunk{Previous: previous, New: number, Next: next, Gap: eventcache.Gap{Token: token}}
}

func drop(chunk eventcache.ChunkID) eventcache.Update { return eventcache.RemoveChunk{Chunk: chunk} }

func at(chunk eventcache.ChunkID, index int) eventcache.Position {
	return eventcache.Position{Chunk: chunk, Index: index}
}

func push(chunk eventcache.ChunkID, index int, events ...eventcache.Event) eventcache.Update {
	return eventcache.PushItems{At: at(chunk, index), Items: events}
}

func replace(chunk eventcache.ChunkID, index int, e eventcache.Event) eventcache.Update {
	return eventcache.ReplaceItem{At: at(chunk, index), Item: e}
}

func remove(chunk eventcache.ChunkID, index int) eventcache.Update {
	return eventcache.RemoveItem{At: at(chunk, index)}
}

func detach(chunk eventcache.ChunkID, index int) eventcache.Update {
	return eventcache.DetachLastItems{At: at(chunk, index)}
}

// shape draws chunks as cases write them: 1[$a $b] 2(token) 3[].
func shape(chunks []eventcache.Chunk) string {
	var all []string
	for _, c := range chunks {
		all = append(all, shapeOf(&c))
	}
	return strings.Join(all, " ")
}

func shapeOf(c *eventcache.Chunk) string {
	switch {
	case c == nil:
		return "none"
	case c.Gap != nil && len(c.Items) > 0:
		return fmt.Sprintf("%d(%s, and %d items)", c.ID, c.Gap.Token, len(c.Items))
	case c.Gap != nil:
		return fmt.Sprintf("%d(%s)", c.ID, c.Gap.Token)
	}
	return fmt.Sprintf("%d[%s]", c.ID, ids(c.Items))
}

func ids(events []eventcache.Event) string {
	var all []string
	for _, e := range events {
		all = append(all, string(e.ID))
	}
	return strings.Join(all, " ")
}

// relation draws what FindRelations returns: $a@1:0 $b@-.
func relation(all []eventcache.Related) string {
	var out []string
	for _, r := range all {
		where := "-"
		if r.At != nil {
			where = r.At.String()
		}
		out = append(out, string(r.Event.ID)+"@"+where)
	}
	return strings.Join(out, " ")
}

// placed draws what FindDuplicates returns: $a@1:0 $b@2:3.
func placed(all []eventcache.Place) string {
	var out []string
	for _, p := range all {
		out = append(out, string(p.Event)+"@"+p.At.String())
	}
	return strings.Join(out, " ")
}

// short cuts what is too long for a finding.
func short(text string) string {
	if len(text) > 300 {
		return fmt.Sprintf("%.200q… (%d bytes)", text, len(text))
	}
	return text
}

func evIDs(ids ...id.EventID) []id.EventID { return ids }

// everyField is an event of which every field says something.
func everyField(which id.EventID) eventcache.Event {
	return ev(which, typed("m.room.encrypted"), session("session"), relates("$other", "m.annotation"), rawly(`{"event_id":"`+string(which)+`","a":[1, 2.50, {"b":null}]}`),
		meta(&eventcache.Meta{
			Timestamp: 1_767_000_000_123,
			Decrypted: &eventcache.Decrypted{
				Sender: "@alice:example.org", SenderDevice: "DEVICE", SenderKey: "key", Algorithm: id.AlgorithmMegolmV1, Trust: "verified",
				Original: json.RawMessage(`{"type":"m.room.encrypted"}`),
			},
			Undecryptable: &eventcache.Undecryptable{Reason: "m.unverified"},
			PushActions:   []json.RawMessage{json.RawMessage(`"notify"`), json.RawMessage(`{"set_tweak":"highlight","value":true}`)},
			Thread:        &eventcache.ThreadSummary{Latest: "$latest", Count: 12},
		}))
}
