package memorystore

import (
	"bytes"
	"context"
	"encoding/json"
	"sync/atomic"

	"maunium.net/go/mautrix/id"

	"github.com/quiesce-go/quiesce/driver/memory"
	"github.com/quiesce-go/quiesce/matrixstores/state"
)

// StateConfig is what a StateStore is opened with. The zero value is usable.
type StateConfig struct{ Config }

// StateStore is a state.Store in memory.
type StateStore struct {
	base
	stored atomic.Uint64 // numbers the rows, in the order of first storing
}

var _ state.Store = (*StateStore)(nil)

// The rows. They are shared by all who have seen them, and never changed. What a
// caller could change is kept as JSON: as in a file, what comes back is his own.
type (
	valueRow struct {
		key  state.ValueKey
		data []byte
	}

	// bytesRow is a value under a key of any bytes.
	bytesRow struct {
		key   string
		value []byte
	}

	// accountRow is account data: of a room, or, without one, of the account.
	accountRow struct {
		room      id.RoomID
		eventType string
		raw       json.RawMessage
	}

	infoRow struct {
		n     uint64
		room  id.RoomID
		data  []byte // RoomInfo.MarshalJSON
		state state.RoomState
		flags state.RoomFlags

		encrypted bool // RoomInfo.IsEncrypted

		recency, notifications, highlights int64
	}

	stateRow struct {
		n    uint64
		room id.RoomID
		state.StateEvent
		eventID id.EventID // empty: it is not found by one
	}

	memberRow struct {
		n    uint64
		room id.RoomID
		state.Member
		nameKey string
	}

	profileRow struct {
		room    id.RoomID
		user    id.UserID
		eventID id.EventID // empty: it is not found by one
		data    []byte     // JSON
	}

	receiptRow struct {
		room id.RoomID
		state.Receipt
	}

	namesRow struct {
		room  id.RoomID
		key   string
		users []id.UserID
	}

	requestRow struct {
		n                uint64
		room             id.RoomID
		transaction      string
		priority         int
		created          int64
		request, problem []byte // problem is nil where it can be sent
	}

	dependentRow struct {
		n              uint64
		room           id.RoomID
		own, parent    string
		created        int64
		dependent, key []byte // key is nil where the parent was not sent
	}

	subscriptionRow struct{ state.ThreadSubscription }
)

const (
	values        memory.Table[*valueRow]        = "value"
	customs       memory.Table[*bytesRow]        = "custom"
	accounts      memory.Table[*accountRow]      = "account"
	presences     memory.Table[*bytesRow]        = "presence"
	globals       memory.Table[*bytesRow]        = "global"
	infos         memory.Table[*infoRow]         = "info"
	stateEvents   memory.Table[*stateRow]        = "state"
	members       memory.Table[*memberRow]       = "member"
	profiles      memory.Table[*profileRow]      = "profile"
	receipts      memory.Table[*receiptRow]      = "receipt"
	names         memory.Table[*namesRow]        = "names"
	requests      memory.Table[*requestRow]      = "request"
	dependents    memory.Table[*dependentRow]    = "dependent"
	subscriptions memory.Table[*subscriptionRow] = "subscription"
)

func textKey(s string) key { return key{}.text(s) }

func roomKey(room id.RoomID, parts ...string) key {
	k := inRoom(room)
	for _, p := range parts {
		k = k.text(p)
	}
	return k
}

// optionalKey is nil, so that a row is not in the index, where the condition does not hold.
func optionalKey(is bool, k key) key {
	if !is {
		return nil
	}
	return k
}

// falling keeps the opposite of the order of numbers.
func (k key) falling(n int64) key { return k.signed(^n) }

func receiptEventKey(room id.RoomID, r *state.Receipt) key {
	return roomKey(room, string(r.Event), string(r.Type), string(r.Thread.Key()))
}

var stateSchema = schemaOf(
	table("value",
		index("id", func(r *valueRow) key { return textKey(string(r.key.Bytes())) }),
		index("room", func(r *valueRow) key {
			return optionalKey(r.key.Room() != "", roomKey(r.key.Room(), string(r.key.Bytes())))
		})),
	table("custom", index("id", func(r *bytesRow) key { return textKey(r.key) })),
	table("presence", index("id", func(r *bytesRow) key { return textKey(r.key) })),
	table("global", index("id", func(r *bytesRow) key { return textKey(r.key) })),
	table("account", index("id", func(r *accountRow) key { return roomKey(r.room, r.eventType) })),
	table("info",
		index("id", func(r *infoRow) key { return inRoom(r.room) }),
		index("age", func(r *infoRow) key { return key{}.number(r.n) }),
		index("recency", func(r *infoRow) key { return key{}.falling(r.recency).number(r.n) }),
		index("notifications", func(r *infoRow) key { return key{}.falling(r.notifications).falling(r.recency).number(r.n) }),
		index("highlights", func(r *infoRow) key { return key{}.falling(r.highlights).falling(r.recency).number(r.n) }),
		index("direct", func(r *infoRow) key { return optionalKey(r.flags&state.FlagDirect != 0, inRoom(r.room)) })),
	table("state",
		index("id", func(r *stateRow) key { return roomKey(r.room, r.Type, r.StateKey) }),
		index("age", func(r *stateRow) key { return roomKey(r.room, r.Type).number(r.n) }),
		index("event", func(r *stateRow) key {
			return optionalKey(r.eventID != "", roomKey(r.room, string(r.eventID)).number(r.n))
		})),
	table("member",
		index("id", func(r *memberRow) key { return roomKey(r.room, string(r.User)) }),
		index("age", func(r *memberRow) key { return inRoom(r.room).number(r.n) }),
		index("membership", func(r *memberRow) key {
			return inRoom(r.room).number(uint64(state.MembershipOf(r.Membership))).number(r.n)
		}),
		index("name", func(r *memberRow) key { return optionalKey(r.nameKey != "", roomKey(r.room, r.nameKey).number(r.n)) }),
		index("user", func(r *memberRow) key { return textKey(string(r.User)).number(r.n) })),
	table("profile",
		index("id", func(r *profileRow) key { return roomKey(r.room, string(r.user)) }),
		index("event", func(r *profileRow) key {
			return optionalKey(r.eventID != "", roomKey(r.room, string(r.eventID), string(r.user)))
		})),
	table("receipt",
		index("id", func(r *receiptRow) key {
			return roomKey(r.room, string(r.User), string(r.Type), string(r.Thread.Key()))
		}),
		index("event", func(r *receiptRow) key { return receiptEventKey(r.room, &r.Receipt).text(string(r.User)) })),
	table("names", index("id", func(r *namesRow) key { return roomKey(r.room, r.key) })),
	table("request",
		index("id", func(r *requestRow) key { return roomKey(r.room, r.transaction) }),
		index("order", func(r *requestRow) key { return inRoom(r.room).falling(int64(r.priority)).number(r.n) })),
	table("dependent",
		index("id", func(r *dependentRow) key { return roomKey(r.room, r.own) }),
		index("order", func(r *dependentRow) key { return inRoom(r.room).number(r.n) }),
		index("parent", func(r *dependentRow) key { return roomKey(r.room, r.parent).number(r.n) })),
	table("subscription", index("id", func(r *subscriptionRow) key { return roomKey(r.Room, string(r.Root)) })),
)

// tablesOfRooms are those whose rows are a room's, by the beginning of their id.
var tablesOfRooms = []string{"account", "info", "state", "member", "profile", "receipt", "names", "request", "dependent", "subscription"}

// OpenState makes an empty state store.
func OpenState(ctx context.Context, cfg StateConfig) (*StateStore, error) {
	b, err := cfg.Config.open(ctx, "state", stateSchema)
	if err != nil {
		return nil, err
	}
	return &StateStore{base: b}, nil
}

func (s *StateStore) read(ctx context.Context, op string, fn func(*stateTx) error) error {
	return s.failed(op, s.db.Read(ctx, func(t *memory.Txn) error { return fn(&stateTx{s, t}) }))
}

func (s *StateStore) write(ctx context.Context, op string, check error, fn func(*stateTx) error) error {
	if check == nil {
		check = s.db.Write(ctx, func(t *memory.Txn) error { return fn(&stateTx{s, t}) })
	}
	return s.failed(op, check)
}

// SaveChanges stores a Changes; see state.Saver.
func (s *StateStore) SaveChanges(ctx context.Context, c *state.Changes) error {
	if c == nil {
		c = &state.Changes{}
	}
	return s.write(ctx, "save changes", c.Check(), func(t *stateTx) error { return c.Apply(t) })
}

// RemoveRoom removes everything of a room; see state.Saver.
func (s *StateStore) RemoveRoom(ctx context.Context, room id.RoomID) error {
	return s.write(ctx, "remove a room", nil, func(t *stateTx) error {
		if room == "" {
			return nil
		}
		if _, err := t.t.DeleteAll("value", "room_prefix", inRoom(room)); err != nil {
			return err
		}
		for _, table := range tablesOfRooms {
			if _, err := t.t.DeleteAll(table, "id_prefix", inRoom(room)); err != nil {
				return err
			}
		}
		return nil
	})
}

// Bytes returns the size of the raw events, the values, and what is known of rooms and members.
func (s *StateStore) Bytes(ctx context.Context) (size int64, err error) {
	err = s.read(ctx, "count the bytes", func(t *stateTx) error {
		for _, table := range append([]string{"value", "custom", "presence", "global"}, tablesOfRooms...) {
			for row, err := range t.t.Get(table, "id") {
				if err != nil {
					return err
				}
				size += sizeOf(row)
			}
		}
		return nil
	})
	return size, err
}

func sizeOf(row any) int64 {
	switch r := row.(type) {
	case *valueRow:
		return int64(len(r.key.Bytes()) + len(r.data))
	case *bytesRow:
		return int64(len(r.key) + len(r.value))
	case *accountRow:
		return int64(len(r.room) + len(r.eventType) + len(r.raw))
	case *infoRow:
		return int64(len(r.room) + len(r.data))
	case *stateRow:
		return int64(len(r.room) + len(r.Type) + len(r.StateKey) + len(r.Raw))
	case *memberRow:
		return int64(len(r.room) + len(r.User) + len(r.DisplayName) + len(r.AvatarURL) + len(r.Sender) + len(r.EventID) + len(r.Reason))
	case *profileRow:
		return int64(len(r.room) + len(r.user) + len(r.data))
	case *receiptRow:
		return int64(len(r.room) + len(r.User) + len(r.Event))
	case *requestRow:
		return int64(len(r.room) + len(r.transaction) + len(r.request) + len(r.problem))
	case *dependentRow:
		return int64(len(r.room) + len(r.own) + len(r.dependent) + len(r.key))
	default:
		return 64
	}
}

// plainJSON is json.Marshal, which leaves the raw JSON in v as it is, but for white space.
func plainJSON(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// once returns the keys without those that are there already.
func once[K comparable](keys []K) []K {
	seen := make(map[K]struct{}, len(keys))
	out := make([]K, 0, len(keys))
	for _, k := range keys {
		if _, there := seen[k]; !there {
			seen[k] = struct{}{}
			out = append(out, k)
		}
	}
	return out
}
