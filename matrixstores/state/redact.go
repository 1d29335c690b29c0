package state

import (
	"bytes"
	"encoding/json"
	"slices"

	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"
)

// What of an event survives its redaction is told by the specification for each
// room version, because servers have to agree on it: "Redactions" in the page of the version.

// keptFields are the fields of an event that stay; those of the second list only before version 11.
var (
	keptFields = []string{
		"auth_events", "content", "depth", "event_id", "hashes", "origin_server_ts", "prev_events", "room_id", "sender", "signatures",
		"state_key", "type",
	}
	keptFieldsBefore11 = []string{"membership", "origin", "prev_state"}
)

// kept is a field of a content that stays, from and until a version, both included. 0 is the first, or no end.
type kept struct {
	field       string
	from, until int
}

// keptContent are the fields of the content that stay, by the type of the event. Of other types none does.
var keptContent = map[string][]kept{
	event.StateMember.Type: {
		{field: "membership"},
		{field: "join_authorised_via_users_server", from: 9},
		{field: "third_party_invite", from: 11}, // of which only the signed part: see keepSigned
	},
	event.StateCreate.Type:    {{field: "creator", until: 10}}, // all of it since 11
	event.StateJoinRules.Type: {{field: "join_rule"}, {field: "allow", from: 8}},
	event.StatePowerLevels.Type: {
		{field: "ban"}, {field: "events"}, {field: "events_default"}, {field: "invite", from: 11}, {field: "kick"}, {field: "redact"},
		{field: "state_default"}, {field: "users"}, {field: "users_default"},
	},
	event.StateHistoryVisibility.Type: {{field: "history_visibility"}},
	event.StateAliases.Type:           {{field: "aliases", until: 5}},
	event.EventRedaction.Type:         {{field: "redacts", from: 11}},
}

// versionNumber returns the number of a room version. What is unknown counts as the newest one that is known:
// the rules have become neither fewer nor other since version 11.
func versionNumber(v id.RoomVersion) int {
	versions := []id.RoomVersion{
		id.RoomV1, id.RoomV2, id.RoomV3, id.RoomV4, id.RoomV5, id.RoomV6, id.RoomV7, id.RoomV8, id.RoomV9, id.RoomV10, id.RoomV11, id.RoomV12,
	}
	if v == id.RoomV0 {
		return 1
	}
	if at := slices.Index(versions, v); at >= 0 {
		return at + 1
	}
	return len(versions)
}

// Redact returns what is left of an event when it was redacted: the fields that
// the version of its room keeps, and the redaction in unsigned.redacted_because. The error is a
// *RedactionError where the event or the redaction is no JSON object, or the event has no type, or a content
// that is no object. A content that is missing is an empty one. Neither raw nor because is changed.
func Redact(version id.RoomVersion, raw, because json.RawMessage) (json.RawMessage, error) {
	evt := object(raw)
	if evt == nil {
		return nil, &RedactionError{Reason: "the event is no JSON object"}
	}
	if checkObject(because) != nil {
		return nil, &RedactionError{Reason: "the redaction is no JSON object"}
	}
	eventType := textOf(evt["type"])
	if eventType == "" {
		return nil, &RedactionError{Reason: "the event has no type"}
	}
	content := map[string]json.RawMessage{}
	if given, is := evt["content"]; is {
		if content = object(given); content == nil {
			return nil, &RedactionError{Reason: "the content of the event is no JSON object"}
		}
	}

	v := versionNumber(version)
	var err error
	out := make(map[string]json.RawMessage, len(evt))
	copyFields(out, evt, keptFields)
	if v < 11 {
		copyFields(out, evt, keptFieldsBefore11)
	}
	if out["content"], err = marshal(redactContent(v, eventType, content)); err != nil {
		return nil, &RedactionError{Reason: "what is left of the content cannot be written"}
	}
	if out["unsigned"], err = marshal(map[string]json.RawMessage{"redacted_because": because}); err != nil {
		return nil, &RedactionError{Reason: "the redaction cannot be written"}
	}
	left, err := marshal(out)
	if err != nil {
		return nil, &RedactionError{Reason: "what is left of the event cannot be written"}
	}
	return left, nil
}

func redactContent(v int, eventType string, content map[string]json.RawMessage) map[string]json.RawMessage {
	if eventType == event.StateCreate.Type && v >= 11 {
		return content
	}
	out := map[string]json.RawMessage{}
	for _, k := range keptContent[eventType] {
		if v >= k.from && (k.until == 0 || v <= k.until) {
			copyFields(out, content, []string{k.field})
		}
	}
	keepSigned(out)
	return out
}

// keepSigned takes out of a third party's invite what is not signed.
func keepSigned(content map[string]json.RawMessage) {
	const field = "third_party_invite"
	invite, is := content[field]
	if !is {
		return
	}
	delete(content, field)
	if signed, is := object(invite)["signed"]; is {
		content[field], _ = marshal(map[string]json.RawMessage{"signed": signed}) // it was read from JSON
	}
}

func copyFields(to, from map[string]json.RawMessage, fields []string) {
	for _, field := range fields {
		if raw, is := from[field]; is {
			to[field] = raw
		}
	}
}

// IsRedacted says whether an event is what is left of one: it has unsigned.redacted_because.
func IsRedacted(raw json.RawMessage) bool {
	if !bytes.Contains(raw, []byte("redacted_because")) { // which it can be spelt otherwise in JSON, but no server does
		return false
	}
	return object(object(object(raw)["unsigned"])["redacted_because"]) != nil
}
