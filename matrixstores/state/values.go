package state

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"

	"maunium.net/go/mautrix/id"
)

// ValueKey is the key of a single value. It is comparable. The zero value is none (ErrValueKey).
type ValueKey struct {
	kind valueKind
	room id.RoomID
	name string
}

type valueKind uint8

// The kinds of values. Their numbers are stored, and never change.
const (
	kindSyncToken valueKind = iota + 1
	kindServerVersions
	kindWellKnown
	kindFilter
	kindUserAvatar
	kindVisitedRooms
	kindUndecryptable
	kindOneTimeKeyUploaded
	kindComposerDraft
	kindKnockRequests
	kindCatchUpTokens
	kindCapabilities

	lastValueKind = kindCapabilities
)

var valueKinds = [lastValueKind + 1]string{
	"", "sync token", "server versions", "well-known", "filter", "user avatar", "recently visited rooms", "undecryptable events",
	"one-time key already uploaded", "composer draft", "seen knock requests", "thread subscriptions catch-up tokens", "homeserver capabilities",
}

// Room returns the room that the key belongs to, with which its value is removed; empty for those of an account.
func (k ValueKey) Room() id.RoomID { return k.room }

// Check returns an error that matches ErrValueKey or ErrNotUTF8 where nothing can be stored under it.
func (k ValueKey) Check() error {
	if k.kind == 0 || k.kind > lastValueKind || (k.kind == kindComposerDraft || k.kind == kindKnockRequests) != (k.room != "") {
		return fmt.Errorf("state: %w", ErrValueKey)
	}
	if err := checkText(string(k.room), k.name); err != nil {
		return fmt.Errorf("state: the key of a value: %w", err)
	}
	return nil
}

// Bytes returns the key as bytes, for a store to keep and to hash. Two keys have the same bytes only if they are
// equal, whatever a server has put into them.
func (k ValueKey) Bytes() []byte {
	b := make([]byte, 0, 1+binary.MaxVarintLen64+len(k.room)+len(k.name))
	b = append(b, byte(k.kind))
	b = binary.AppendUvarint(b, uint64(len(k.room)))
	b = append(b, k.room...)
	return append(b, k.name...)
}

// String names what the value is, without the names in it.
func (k ValueKey) String() string {
	if k.kind > lastValueKind {
		return fmt.Sprintf("value %d", uint8(k.kind))
	}
	return valueKinds[k.kind]
}

// Key is the key of a value of type T. The functions below make the twelve that there are.
type Key[T any] struct{ ValueKey }

// SyncToken is where the next sync begins. SaveChanges sets it, too (Changes.SyncToken).
func SyncToken() Key[string] { return Key[string]{ValueKey{kind: kindSyncToken}} }

// Versions is what the homeserver says that it can do.
func Versions() Key[Expiring[ServerVersions]] {
	return Key[Expiring[ServerVersions]]{ValueKey{kind: kindServerVersions}}
}

// WellKnownFile is where the server's name leads to. That there is no such file can be stored, as nil.
func WellKnownFile() Key[Expiring[*WellKnown]] {
	return Key[Expiring[*WellKnown]]{ValueKey{kind: kindWellKnown}}
}

// FilterID is the id that the server has given to the filter that the client calls so.
func FilterID(name string) Key[string] {
	return Key[string]{ValueKey{kind: kindFilter, name: name}}
}

// UserAvatar is the avatar of a user of this client.
func UserAvatar(user id.UserID) Key[id.ContentURIString] {
	return Key[id.ContentURIString]{ValueKey{kind: kindUserAvatar, name: string(user)}}
}

// VisitedRooms are the rooms that a user of this client has looked at, the last one first.
func VisitedRooms(user id.UserID) Key[[]id.RoomID] {
	return Key[[]id.RoomID]{ValueKey{kind: kindVisitedRooms, name: string(user)}}
}

// ReportedUndecryptable is which events were reported already as not to be decrypted.
func ReportedUndecryptable() Key[BloomFilter] {
	return Key[BloomFilter]{ValueKey{kind: kindUndecryptable}}
}

// OneTimeKeyAlreadyUploaded is whether the server has said of a one-time key that it has it already, with another content.
func OneTimeKeyAlreadyUploaded() Key[bool] {
	return Key[bool]{ValueKey{kind: kindOneTimeKeyUploaded}}
}

// Draft is what a user has begun to write in a room.
func Draft(room id.RoomID) Key[ComposerDraft] {
	return Key[ComposerDraft]{ValueKey{kind: kindComposerDraft, room: room}}
}

// ThreadDraft is what a user has begun to write in a thread. Without a root it is Draft.
func ThreadDraft(room id.RoomID, root id.EventID) Key[ComposerDraft] {
	return Key[ComposerDraft]{ValueKey{kind: kindComposerDraft, room: room, name: string(root)}}
}

// SeenKnockRequests are the requests to come into a room that the user has seen: who has knocked with which event.
func SeenKnockRequests(room id.RoomID) Key[map[id.EventID]id.UserID] {
	return Key[map[id.EventID]id.UserID]{ValueKey{kind: kindKnockRequests, room: room}}
}

// CatchUpTokens are between which points the client has yet to ask for changes of thread subscriptions.
func CatchUpTokens() Key[[]CatchUpToken] {
	return Key[[]CatchUpToken]{ValueKey{kind: kindCatchUpTokens}}
}

// ServerCapabilities is what the homeserver lets this user do.
func ServerCapabilities() Key[Expiring[Capabilities]] {
	return Key[Expiring[Capabilities]]{ValueKey{kind: kindCapabilities}}
}

// Get returns a value. The error matches ErrBroken where what is stored is none of this key.
func Get[T any](ctx context.Context, s Values, k Key[T]) (v T, found bool, err error) {
	data, found, err := s.Value(ctx, k.ValueKey)
	if err != nil || !found {
		return v, false, err
	}
	if err := json.Unmarshal(data, &v); err != nil {
		var zero T
		return zero, false, fmt.Errorf("state: %v: %w: %w", k.ValueKey, ErrBroken, err)
	}
	return v, true, nil
}

// Set sets a value. The errors are ErrValueKey, ErrNotUTF8, and those of the store.
func Set[T any](ctx context.Context, s Values, k Key[T], v T) error {
	data, err := EncodeValue(k, v)
	if err != nil {
		return err
	}
	return s.SetValue(ctx, k.ValueKey, data)
}

// Remove removes a value.
func Remove[T any](ctx context.Context, s Values, k Key[T]) error {
	return s.RemoveValue(ctx, k.ValueKey)
}

// EncodeValue returns a value as Set stores it. The errors are ErrValueKey and ErrNotUTF8.
func EncodeValue[T any](k Key[T], v T) ([]byte, error) {
	if err := k.Check(); err != nil {
		return nil, err
	}
	if err := checkAllText(v); err != nil {
		return nil, fmt.Errorf("state: %v: %w", k.ValueKey, err)
	}
	data, err := marshal(v)
	if err != nil {
		return nil, fmt.Errorf("state: %v: %w", k.ValueKey, err)
	}
	return data, nil
}
