package state_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"maunium.net/go/mautrix/id"

	"github.com/quiesce-go/quiesce/matrixstores/state"
)

// decoded reads JSON into plain values, for comparing.
func decoded(t *testing.T, raw []byte) (v any) {
	t.Helper()
	if err := json.Unmarshal(raw, &v); err != nil {
		t.Fatalf("this is no JSON: %v: %s", err, raw)
	}
	return v
}

var because = json.RawMessage(`{"type":"m.room.redaction","event_id":"$redaction","content":{"reason":"spam"}}`)

func TestARedactionKeepsWhatTheRoomVersionSays(t *testing.T) {
	const all = 0
	for _, c := range []struct {
		eventType, content string
		until              int // the last version for which the next is true; 0: for all
		left               string
		later              string // what is left in later versions
	}{
		{"m.room.name", `{"name":"x"}`, all, `{}`, ``},
		{"m.room.topic", `{"topic":"x"}`, all, `{}`, ``},
		{"org.example.own", `{"creator":"x","membership":"join"}`, all, `{}`, ``},
		{"m.room.member", `{"membership":"join","displayname":"x","join_authorised_via_users_server":"@a:b"}`, 8,
			`{"membership":"join"}`, `{"membership":"join","join_authorised_via_users_server":"@a:b"}`},
		{"m.room.member", `{"membership":"invite","third_party_invite":{"display_name":"x","signed":{"token":"y"}}}`, 10,
			`{"membership":"invite"}`, `{"membership":"invite","third_party_invite":{"signed":{"token":"y"}}}`},
		{"m.room.member", `{"membership":"invite","third_party_invite":5}`, all, `{"membership":"invite"}`, ``},
		{"m.room.create", `{"creator":"@a:b","room_version":"x","type":"m.space"}`, 10,
			`{"creator":"@a:b"}`, `{"creator":"@a:b","room_version":"x","type":"m.space"}`},
		{"m.room.join_rules", `{"join_rule":"restricted","allow":[1],"x":1}`, 7,
			`{"join_rule":"restricted"}`, `{"join_rule":"restricted","allow":[1]}`},
		{"m.room.power_levels", `{"ban":1,"events":{"m.x":2},"events_default":3,"invite":4,"kick":5,"redact":6,"state_default":7,"users":{"@a:b":8},"users_default":9,"notifications":{"room":10}}`, 10,
			`{"ban":1,"events":{"m.x":2},"events_default":3,"kick":5,"redact":6,"state_default":7,"users":{"@a:b":8},"users_default":9}`,
			`{"ban":1,"events":{"m.x":2},"events_default":3,"invite":4,"kick":5,"redact":6,"state_default":7,"users":{"@a:b":8},"users_default":9}`},
		{"m.room.history_visibility", `{"history_visibility":"shared","x":1}`, all, `{"history_visibility":"shared"}`, ``},
		{"m.room.aliases", `{"aliases":["#a:b"]}`, 5, `{"aliases":["#a:b"]}`, `{}`},
		{"m.room.redaction", `{"redacts":"$x","reason":"y"}`, 10, `{}`, `{"redacts":"$x"}`},
	} {
		for number := 1; number <= 13; number++ {
			version := id.RoomVersion(fmt.Sprint(number))
			if number == 13 {
				version = "org.example.future" // by the newest rules
			}
			want := c.left
			if c.until != all && number > c.until {
				want = c.later
			}
			raw := json.RawMessage(`{"type":"` + c.eventType + `","event_id":"$x","content":` + c.content + `}`)
			left, err := state.Redact(version, raw, because)
			if err != nil {
				t.Fatalf("%s in version %s: %v", c.eventType, version, err)
			}
			content := decoded(t, left).(map[string]any)["content"]
			if diff := cmp.Diff(decoded(t, []byte(want)), content); diff != "" {
				t.Errorf("of the content of %s, version %s keeps other fields (-should +does):\n%s", c.eventType, version, diff)
			}
		}
	}
}

func TestARedactionKeepsTheFieldsThatIdentifyTheEvent(t *testing.T) {
	raw := json.RawMessage(`{"type":"m.room.name","event_id":"$x","room_id":"!r","sender":"@a:b","state_key":"","origin_server_ts":1,
		"content":{"name":"secret"},"hashes":{"a":"b"},"signatures":{},"depth":1,"prev_events":[],"auth_events":[],
		"prev_state":[],"origin":"b","membership":"join","unsigned":{"age":3,"prev_content":{"name":"secret"}},"prev_content":{},"secret":1}`)
	kept := `{"type":"m.room.name","event_id":"$x","room_id":"!r","sender":"@a:b","state_key":"","origin_server_ts":1,
		"content":{},"hashes":{"a":"b"},"signatures":{},"depth":1,"prev_events":[],"auth_events":[],%s"unsigned":{"redacted_because":` + string(because) + `}}`
	before := string(raw)
	for version, more := range map[id.RoomVersion]string{"": `"prev_state":[],"origin":"b","membership":"join",`, "10": `"prev_state":[],"origin":"b","membership":"join",`, "11": ""} {
		left, err := state.Redact(version, raw, because)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(decoded(t, fmt.Appendf(nil, kept, more)), decoded(t, left)); diff != "" {
			t.Errorf("version %q keeps other fields of an event (-should +does):\n%s", version, diff)
		}
		if !state.IsRedacted(left) {
			t.Errorf("what is left of an event does not count as redacted: %s", left)
		}
	}
	if string(raw) != before {
		t.Error("the event itself was changed; it is shared with others")
	}
	if state.IsRedacted(raw) {
		t.Error("an event that was not redacted counts as redacted")
	}
}

func TestWhatCannotBeRedactedIsATypedError(t *testing.T) {
	good := json.RawMessage(`{"type":"m.room.name","content":{}}`)
	for name, c := range map[string][2]string{
		"no JSON":                 {`{`, string(because)},
		"a list":                  {`[]`, string(because)},
		"nothing":                 {``, string(because)},
		"no type":                 {`{"content":{}}`, string(because)},
		"a type that is no text":  {`{"type":1,"content":{}}`, string(because)},
		"a content that is none":  {`{"type":"m.room.name","content":5}`, string(because)},
		"a content that is null":  {`{"type":"m.room.name","content":null}`, string(because)},
		"a redaction that is not": {string(good), `"x"`},
		"no redaction":            {string(good), ``},
	} {
		_, err := state.Redact("11", json.RawMessage(c[0]), json.RawMessage(c[1]))
		var typed *state.RedactionError
		if !errors.Is(err, state.ErrRedaction) || !errors.As(err, &typed) {
			t.Errorf("%s: the error is %v, and should be a *RedactionError that matches ErrRedaction", name, err)
		}
	}
	if _, err := state.Redact("11", json.RawMessage(`{"type":"m.room.name"}`), because); err != nil {
		t.Errorf("an event without a content is refused, though it is an empty one: %v", err)
	}
}

func FuzzRedact(f *testing.F) {
	f.Add("11", `{"type":"m.room.member","content":{"membership":"join"}}`)
	f.Add("1", `{"type":"m.room.create","content":{}}`)
	f.Add("", `{"type":"m.room.member","content":{"third_party_invite":{"signed":null}},"unsigned":1}`)
	f.Fuzz(func(t *testing.T, version, raw string) {
		left, err := state.Redact(id.RoomVersion(version), json.RawMessage(raw), because)
		if err != nil {
			if !errors.Is(err, state.ErrRedaction) {
				t.Fatalf("the error is not typed: %v", err)
			}
			return
		}
		if !json.Valid(left) || !state.IsRedacted(left) {
			t.Fatalf("what is left of %q is no redacted event: %s", raw, left)
		}
		again, err := state.Redact(id.RoomVersion(version), left, because)
		if err != nil || cmp.Diff(decoded(t, left), decoded(t, again)) != "" {
			t.Fatalf("redacting twice is more than redacting once: %s, then %s (%v)", left, again, err)
		}
	})
}
