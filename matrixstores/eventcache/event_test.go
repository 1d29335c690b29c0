package eventcache_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"
	"pgregory.net/rapid"

	"github.com/quiesce-go/quiesce/matrixstores/eventcache"
)

func TestParseFindsWhatAnEventIsFoundBy(t *testing.T) {
	for raw, want := range map[string]eventcache.Event{
		`{"event_id":"$a","type":"m.room.message","content":{"body":"x"}}`: {ID: "$a", Type: "m.room.message"},
		" \n{ \"type\" : \"t\" ,\t\"event_id\" : \"$a\" } \r\n":            {ID: "$a", Type: "t"},
		`{}`: {},
		`{"event_id":"$a","type":"m.room.encrypted","content":{"session_id":"s"}}`:                                               {ID: "$a", Type: "m.room.encrypted", Session: "s"},
		`{"content":{"session_id":"s"},"type":"m.room.encrypted"}`:                                                               {Type: "m.room.encrypted", Session: "s"},
		`{"event_id":"$a","type":"m.room_key","content":{"session_id":"s"}}`:                                                     {ID: "$a", Type: "m.room_key"},
		`{"event_id":"$a","content":{"m.relates_to":{"rel_type":"m.thread","event_id":"$b","m.in_reply_to":{"event_id":"$c"}}}}`: {ID: "$a", RelatesTo: "$b", RelType: "m.thread"},
		`{"event_id":"$a","content":{"m.relates_to":{"m.in_reply_to":{"event_id":"$c"}}}}`:                                       {ID: "$a"},
		`{"event_id":"$a","content":{"m.relates_to":{"event_id":"$c"}}}`:                                                         {ID: "$a"},
		`{"event_id":"$a","content":{"m.relates_to":{"rel_type":"m.thread"}}}`:                                                   {ID: "$a"},
		`{"event_id":"$a","content":{"m.relates_to":{"rel_type":"","event_id":"$b"}}}`:                                           {ID: "$a"},
		`{"event_id":"$a","content":{"m.relates_to":["$b"]}}`:                                                                    {ID: "$a"},
		`{"event_id":"$a","content":{"m.relates_to":null}}`:                                                                      {ID: "$a"},
		`{"event_id":"$a","content":"m.relates_to"}`:                                                                             {ID: "$a"},
		`{"event_id":5,"type":{"x":"y"},"content":[{"session_id":"s"}]}`:                                                         {},
		`{"event_id":null,"type":true,"content":null}`:                                                                           {},
		`{"unsigned":{"event_id":"$x","type":"t"},"a":[{"event_id":"$y"},"event_id"],"event_id":"$a"}`:                           {ID: "$a"},
		`{"body":"\"event_id\":\"$x\"}","event_id":"$a"}`:                                                                        {ID: "$a"},
		`{"event_id":"$x","event_id":"$a"}`:                                                                                      {ID: "$a"},
		`{"event_id":"$x","event_id":7}`:                                                                                         {},
		`{"Event_ID":"$x","TYPE":"t"}`:                                                                                           {},
		`{"event\u005fid":"\u0024a\ud83d\ude00","type":"a\"\\"}`:                                                                 {ID: "$a😀", Type: `a"\`},
		"{\"event_id\":\"$\xff\"}":                                                                                               {ID: "$\uFFFD"},
		`{"":"","event_id":""}`:                                                                                                  {},
		`{"content":{"m.relates_to":{"rel_type":"a","event_id":"b"}},"content":{}}`:                                              {},
		`{"content":{"m.relates_to":{"rel_type":"a","event_id":"b"},"m.relates_to":{"rel_type":"c","event_id":"d"}}}`:            {RelType: "c", RelatesTo: "d"},
		`{"a":-1.5e+3,"b":[],"c":{},"d":[1,[2,{"e":3}]],"event_id":"$a","f":0}`:                                                  {ID: "$a"},
		`{"event_id":"'; DROP TABLE event_chunks; --","type":"x' OR 1=1"}`:                                                       {ID: "'; DROP TABLE event_chunks; --", Type: "x' OR 1=1"},
		`{"event_id":"` + strings.Repeat("x", 100_000) + `"}`:                                                                    {ID: id.EventID(strings.Repeat("x", 100_000))},
		`{"a":` + strings.Repeat(`[`, 9000) + strings.Repeat(`]`, 9000) + `,"event_id":"$a"}`:                                    {ID: "$a"},
		`{"a":` + strings.Repeat(`{"event_id":`, 4000) + `1` + strings.Repeat(`}`, 4000) + `,"type":"t"}`:                        {Type: "t"},
	} {
		got, err := eventcache.Parse(json.RawMessage(raw))
		if err != nil {
			t.Errorf("Parse(%.200q): %v", raw, err)
			continue
		}
		if string(got.Raw) != raw {
			t.Errorf("Parse(%.200q) must keep the JSON as it is, it has kept %.200q", raw, got.Raw)
		}
		got.Raw = nil
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("Parse(%.200q) has found something else (- wanted, + found):\n%s", raw, diff)
		}
	}
}

// noObject is what is no JSON object.
var noObject = []string{"", " ", "null", "5", `"x"`, "[]", `[{"event_id":"$a"}]`, "{", "}", `{"a"}`, `{"a":}`, `{"a":1,}`, `{a:1}`, `{} {}`, `{}x`, "\x00", "\ufeff{}",
	`{"a":"` + "\n" + `"}`, `{"a":` + strings.Repeat("[", 20_000) + strings.Repeat("]", 20_000) + `}`, `{"event_id":"$a"`, `{"event_id":"$a}`, `{"\x":1}`}

func TestParseRefusesWhatIsNoObject(t *testing.T) {
	for _, raw := range noObject {
		e, err := eventcache.Parse(json.RawMessage(raw))
		if !errors.Is(err, eventcache.ErrNotJSON) {
			t.Errorf("Parse(%.50q) must fail with ErrNotJSON, its error is %v", raw, err)
		}
		if diff := cmp.Diff(eventcache.Event{}, e); diff != "" {
			t.Errorf("Parse(%.50q) has failed, and returned an event:\n%s", raw, diff)
		}
		if len(raw) > 8 && err != nil && strings.Contains(err.Error(), raw[:8]) {
			t.Errorf("the error must contain nothing of the event: %.200v", err)
		}
	}
}

// plainParse is Parse by encoding/json alone.
func plainParse(raw []byte) (eventcache.Event, bool) {
	text := func(raw json.RawMessage) (s string) {
		if json.Unmarshal(raw, &s) != nil {
			return ""
		}
		return s
	}
	object := func(raw json.RawMessage) (members map[string]json.RawMessage) {
		if json.Unmarshal(raw, &members) != nil {
			return nil
		}
		return members
	}
	top := object(raw)
	if top == nil {
		return eventcache.Event{}, false
	}
	content := object(top["content"])
	relates := object(content["m.relates_to"])
	e := eventcache.Event{ID: id.EventID(text(top["event_id"])), Type: text(top["type"]), Raw: raw}
	if e.Type == "m.room.encrypted" {
		e.Session = id.SessionID(text(content["session_id"]))
	}
	if to, rel := text(relates["event_id"]), text(relates["rel_type"]); to != "" && rel != "" {
		e.RelatesTo, e.RelType = id.EventID(to), event.RelationType(rel)
	}
	return e, true
}

func sameAsPlain(t interface {
	Helper()
	Fatalf(string, ...any)
}, raw []byte) {
	t.Helper()
	want, is := plainParse(raw)
	got, err := eventcache.Parse(raw)
	if (err == nil) != is || err != nil && !errors.Is(err, eventcache.ErrNotJSON) {
		t.Fatalf("Parse(%q): the error is %v; for encoding/json this is an object: %v", raw, err, is)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatalf("Parse(%q) has found something else than encoding/json (-), %s", raw, diff)
	}
	if err == nil && got.ID != "" {
		if err := got.Check(); err != nil {
			t.Fatalf("Parse(%q) has made an event with an id that cannot be stored: %v", raw, err)
		}
	}
}

// FuzzParse: whatever a server sends, it is ErrNotJSON or what encoding/json finds in it.
func FuzzParse(f *testing.F) {
	for _, raw := range noObject {
		f.Add([]byte(raw))
	}
	for _, raw := range []string{
		`{"event_id":"$a","type":"m.room.encrypted","content":{"session_id":"s","m.relates_to":{"rel_type":"m.thread","event_id":"$b"}}}`,
		` { "event_id" : "$\u0061" , "content" : { "m.relates_to" : { } , "a" : [ 1 , "]" , { "}" : "\\" } ] } } `,
		"{\"event_id\":\"\xff\",\"\\u0074ype\":\"m.room.encrypted\"}",
	} {
		f.Add([]byte(raw))
	}
	f.Fuzz(func(t *testing.T, raw []byte) { sameAsPlain(t, raw) })
}

func TestParseFindsWhatEncodingJSONFinds(t *testing.T) {
	space := rapid.SampledFrom([]string{"", "", " ", "\n\t", "\r\n "})
	name := rapid.SampledFrom([]string{"event_id", "type", "content", "m.relates_to", "rel_type", "session_id", "Type", "", `ty\u0070e`, `x\"`, "é", "\xff"})
	text := rapid.SampledFrom([]string{"m.room.encrypted", "$a", "", `\n`, `\\`, `\"`, `{`, `}]`, `\ud800`, "\xff", "😀", `:,`})
	var value func(t *rapid.T, depth int) string
	value = func(t *rapid.T, depth int) string {
		kind := rapid.IntRange(0, 5).Draw(t, "kind")
		if depth == 0 {
			kind %= 3
		}
		switch kind {
		case 0, 1:
			return `"` + text.Draw(t, "text") + `"`
		case 2:
			return rapid.SampledFrom([]string{"null", "true", "-1.5E+9", "0"}).Draw(t, "word")
		case 3:
			var all []string
			for range rapid.IntRange(0, 3).Draw(t, "length") {
				all = append(all, space.Draw(t, "space")+value(t, depth-1)+space.Draw(t, "space"))
			}
			return "[" + strings.Join(all, ",") + "]"
		default:
			var all []string
			for range rapid.IntRange(0, 5).Draw(t, "members") {
				all = append(all, fmt.Sprintf(`%s"%s"%s:%s%s%s`, space.Draw(t, "space"), name.Draw(t, "name"), space.Draw(t, "space"), space.Draw(t, "space"), value(t, depth-1), space.Draw(t, "space")))
			}
			return "{" + strings.Join(all, ",") + space.Draw(t, "space") + "}"
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		raw := space.Draw(t, "space") + value(t, 4) + space.Draw(t, "space")
		sameAsPlain(t, []byte(raw))
	})
}

func TestAnEventIsCheckedForWhatAStoreNeeds(t *testing.T) {
	object := json.RawMessage(` {"a":1}`)
	for name, c := range map[string]struct {
		e    eventcache.Event
		want error
	}{
		"nothing":                     {eventcache.Event{}, eventcache.ErrNoEventID},
		"no id":                       {eventcache.Event{Raw: object}, eventcache.ErrNoEventID},
		"no JSON":                     {eventcache.Event{ID: "$a"}, eventcache.ErrNotJSON},
		"only a relation's event":     {eventcache.Event{ID: "$a", Raw: object, RelatesTo: "$b"}, eventcache.ErrRelation},
		"only a relation's type":      {eventcache.Event{ID: "$a", Raw: object, RelType: "r"}, eventcache.ErrRelation},
		"an event without a type":     {eventcache.Event{ID: "$a", Raw: object}, nil},
		"an event with all":           {eventcache.Event{ID: "$a", Type: "t", Session: "s", RelatesTo: "$b", RelType: "r", Raw: object, Meta: &eventcache.Meta{}}, nil},
		"an id of any bytes":          {eventcache.Event{ID: "\x00\xff' --", Raw: object}, nil},
		"an id other than the JSON's": {eventcache.Event{ID: "$a", Raw: json.RawMessage(`{"event_id":"$b"}`)}, nil},
	} {
		if err := c.e.Check(); !errors.Is(err, c.want) {
			t.Errorf("%s: Check must return %v, it returned %v", name, c.want, err)
		}
	}
	for _, raw := range noObject {
		e := eventcache.Event{ID: "$a", Raw: json.RawMessage(raw)}
		if err := e.Check(); !errors.Is(err, eventcache.ErrNotJSON) {
			t.Errorf("an event whose JSON is %.50q must be refused with ErrNotJSON, not with %v", raw, err)
		}
	}
}

func TestMautrixReadsTheEvent(t *testing.T) {
	e := eventcache.Event{ID: "$a", Raw: json.RawMessage(
		`{"event_id":"$raw","room_id":"!raw","type":"m.room.message","sender":"@u:e","origin_server_ts":5,"content":{"msgtype":"m.text","body":"hello"}}`)}
	evt, err := e.Mautrix("!room")
	if err != nil {
		t.Fatal(err)
	}
	if evt.ID != "$a" || evt.RoomID != "!room" || evt.Sender != "@u:e" || evt.Timestamp != 5 || evt.Type.Type != "m.room.message" {
		t.Errorf("the event is %+v: id and room are what the cache says, the rest what the JSON says", evt)
	}
	if err := evt.Content.ParseRaw(event.EventMessage); err != nil || evt.Content.AsMessage().Body != "hello" {
		t.Errorf("its content can be parsed: %v, %+v", err, evt.Content.Parsed)
	}
	e.ID = ""
	if evt, err = e.Mautrix("!room"); err != nil || evt.ID != "$raw" {
		t.Errorf("without an id of its own the event has that of its JSON; it is %q, %v", evt.ID, err)
	}
	for _, raw := range append([]string{`{"sender":5}`, `{"origin_server_ts":"now"}`}, noObject[7:]...) {
		e := eventcache.Event{ID: "$a", Raw: json.RawMessage(raw)}
		if evt, err := e.Mautrix("!room"); err == nil || evt != nil {
			t.Errorf("of %.50q mautrix can make no event; the error is %v", raw, err)
		}
	}
}
