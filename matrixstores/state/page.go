package state

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"hash/fnv"

	"maunium.net/go/mautrix/id"
)

// Page says which part of a list is wanted. The zero value is all of it.
type Page struct {
	// Limit is how many at most. 0 or less: all that are left.
	Limit int

	// After is the Next of the page before. Empty: from the beginning.
	After Cursor
}

// Cursor is a place in a list, made by a store and given back to it. It is good
// for the same question only, and for as long as the store exists, across restarts. It
// contains numbers, and, for a list by name, a name.
type Cursor string

// MemberPage is a part of a list of members.
type MemberPage struct {
	Members []Member
	Next    Cursor // empty: there are no more
}

// RoomPage is a part of a list of rooms.
type RoomPage struct {
	Rooms []*RoomInfo
	Next  Cursor // empty: there are no more
}

// MakeCursor is for stores: it makes a cursor of numbers and a text. list says which
// list it is of, and must be different for each question that orders differently. question is the number of the question (MembersQuestion, RoomFilter.Question).
func MakeCursor(list byte, question int64, text string, numbers ...int64) Cursor {
	b := []byte{list, byte(1 + len(numbers))}
	b = binary.AppendVarint(b, question)
	for _, n := range numbers {
		b = binary.AppendVarint(b, n)
	}
	return Cursor(append(b, text...))
}

// Parse is for stores: it returns the text and the n numbers that MakeCursor was given. A cursor of another list or question is refused; the error matches ErrCursor.
func (c Cursor) Parse(list byte, question int64, n int) (text string, numbers []int64, err error) {
	bad := fmt.Errorf("state: %w", ErrCursor)
	if len(c) < 2 || c[0] != list || int(c[1]) != 1+n {
		return "", nil, bad
	}
	rest := []byte(c[2:])
	numbers = make([]int64, 1+n)
	for i := range numbers {
		v, used := binary.Varint(rest)
		if used <= 0 {
			return "", nil, bad
		}
		numbers[i], rest = v, rest[used:]
	}
	if numbers[0] != question {
		return "", nil, bad
	}
	return string(rest), numbers[1:], nil
}

// MembersQuestion is for stores: a number that says of whom a list of members is, for its cursors. Other rooms and other filters have other numbers.
func MembersQuestion(room id.RoomID, filter Memberships) int64 {
	return question(string(room), uint64(filter))
}

// Question is for stores: a number that says which rooms are in a list, for its cursors. Other filters have other numbers.
func (f RoomFilter) Question() int64 {
	return question("", uint64(f.States), uint64(f.With), uint64(f.Without))
}

// question is a hash: two questions that have the same one are as rare as mistakes in memory.
func question(text string, numbers ...uint64) int64 {
	h := fnv.New64a()
	for _, n := range numbers {
		_ = binary.Write(h, binary.LittleEndian, n) // a hash takes everything
	}
	_, _ = h.Write([]byte(text))
	return int64(h.Sum64())
}

// RoomFilter says which rooms Rooms returns. Its parts must all fit. The zero value lets every room through.
type RoomFilter struct {
	States  RoomStates // 0: any
	With    RoomFlags  // that the room must have, all of them
	Without RoomFlags  // that it must not have, any of them
}

// Fits says whether the filter lets a room through.
func (f RoomFilter) Fits(info *RoomInfo) bool {
	flags := info.Flags()
	return f.States.Has(info.State) && flags&f.With == f.With && flags&f.Without == 0
}

// RoomFlags are what a list of rooms is filtered by. A store keeps them as a number
// that is not encrypted.
type RoomFlags uint32

// The flags. Their numbers are stored, and never change.
const (
	FlagDirect       RoomFlags = 1 << iota // it is somebody's direct chat (RoomInfo.DirectTargets)
	FlagSpace                              // its type is m.space
	FlagFavourite                          // it is tagged so
	FlagLowPriority                        // it is tagged so
	FlagMarkedUnread                       // the user has marked it unread
	FlagUnread                             // it has notifications, or is marked unread
	FlagEncrypted                          // it is known to be encrypted
	FlagTombstoned                         // it was replaced by another one
)

// Order is an order of rooms. Rooms that are equal in it are in the order of first storing.
type Order uint8

// The orders. All but ByName are answered from numbers that a store keeps for it.
const (
	// ByRecency has rooms first in which something has happened last (RoomInfo.Recency).
	ByRecency Order = iota

	// ByNotifications has rooms first that have more notifications, then by recency.
	ByNotifications

	// ByHighlights has rooms first that have more highlights, then by recency.
	ByHighlights

	// ByAge has rooms in the order of first storing.
	ByAge

	// ByName has rooms by the SortKey of what their DisplayName reads. It opens all that the filter lets through.
	ByName
)

// String returns the order's name.
func (o Order) String() string {
	switch o {
	case ByRecency:
		return "recency"
	case ByNotifications:
		return "notifications"
	case ByHighlights:
		return "highlights"
	case ByAge:
		return "age"
	case ByName:
		return "name"
	default:
		return fmt.Sprintf("order %d", uint8(o))
	}
}

// Check returns ErrOrder where the order is none.
func (o Order) Check() error {
	if o > ByName {
		return fmt.Errorf("state: %w: %v", ErrOrder, o)
	}
	return nil
}

// Compare returns which of two rooms comes first: less than 0 for a, more than 0 for b, 0 where they are in the order of first storing.
func (o Order) Compare(a, b *RoomInfo) int {
	recency := cmp.Compare(b.Recency, a.Recency)
	switch o {
	case ByRecency:
		return recency
	case ByNotifications:
		return cmp.Or(cmp.Compare(b.Counts.Notifications, a.Counts.Notifications), recency)
	case ByHighlights:
		return cmp.Or(cmp.Compare(b.Counts.Highlights, a.Counts.Highlights), recency)
	case ByName:
		return cmp.Compare(SortKey(a.DisplayName.String()), SortKey(b.DisplayName.String()))
	default:
		return 0
	}
}

// checkRoom returns why this is no id of a room under which something can be stored.
func checkRoom(room id.RoomID) error {
	if room == "" {
		return ErrNoRoomID
	}
	return checkText(string(room))
}
