package state

import (
	"context"
	"encoding/json"
	"fmt"

	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"
)

// Typed is a state event of which is known what its content is. What has really come is
// seen when Content is called: a server passes on anything.
type Typed[T any] struct{ StateEvent }

// Content reads the content. The error matches ErrContent.
func (t Typed[T]) Content() (*T, error) { return contentOf[T](t.Type, t.Raw) }

// ReadState returns the event of a type with the empty state key; nil where there is none.
//
//	topic, err := state.ReadState[event.TopicEventContent](ctx, store, room, event.StateTopic)
func ReadState[T any](ctx context.Context, s StateEvents, room id.RoomID, t event.Type) (*Typed[T], error) {
	return ReadStateForKey[T](ctx, s, room, t, "")
}

// ReadStateForKey returns the event of a type and a state key; nil where there is none.
func ReadStateForKey[T any](ctx context.Context, s StateEvents, room id.RoomID, t event.Type, stateKey string) (*Typed[T], error) {
	e, found, err := s.StateEvent(ctx, room, t.Type, stateKey)
	if err != nil || !found {
		return nil, err
	}
	return &Typed[T]{e}, nil
}

// ReadStates returns the events of a type with all their state keys, in the order of first storing.
func ReadStates[T any](ctx context.Context, s StateEvents, room id.RoomID, t event.Type) ([]Typed[T], error) {
	events, err := s.StateEvents(ctx, room, t.Type)
	return typed[T](events), err
}

// ReadStatesForKeys returns the events of a type that have one of these state keys, in the order of the keys.
func ReadStatesForKeys[T any](ctx context.Context, s StateEvents, room id.RoomID, t event.Type, stateKeys []string) ([]Typed[T], error) {
	events, err := s.StateEventsForKeys(ctx, room, t.Type, stateKeys)
	return typed[T](events), err
}

// ReadMember returns the m.room.member event of a user; nil where there is none.
func ReadMember(ctx context.Context, s StateEvents, room id.RoomID, user id.UserID) (*Typed[event.MemberEventContent], error) {
	return ReadStateForKey[event.MemberEventContent](ctx, s, room, event.StateMember, string(user))
}

// ReadAccountData returns the content of the global account data of a type; nil where there is none. The error may match ErrContent.
func ReadAccountData[T any](ctx context.Context, s AccountData, t event.Type) (*T, error) {
	raw, err := s.AccountData(ctx, t.Type)
	if err != nil || raw == nil {
		return nil, err
	}
	return contentOf[T](t.Type, raw)
}

// ReadRoomAccountData returns the same of a room.
func ReadRoomAccountData[T any](ctx context.Context, s AccountData, room id.RoomID, t event.Type) (*T, error) {
	raw, err := s.RoomAccountData(ctx, room, t.Type)
	if err != nil || raw == nil {
		return nil, err
	}
	return contentOf[T](t.Type, raw)
}

func typed[T any](events []StateEvent) []Typed[T] {
	var out []Typed[T]
	for _, e := range events {
		out = append(out, Typed[T]{e})
	}
	return out
}

func contentOf[T any](eventType string, raw json.RawMessage) (*T, error) {
	var evt struct {
		Content *T `json:"content"`
	}
	if err := json.Unmarshal(raw, &evt); err != nil {
		return nil, fmt.Errorf("state: %q: %w: %w", eventType, ErrContent, err)
	}
	if evt.Content == nil {
		return nil, fmt.Errorf("state: %q: %w: there is none", eventType, ErrContent)
	}
	return evt.Content, nil
}
