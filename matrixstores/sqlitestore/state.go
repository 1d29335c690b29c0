package sqlitestore

import (
	"context"
	"embed"
	"fmt"
	"sync/atomic"

	"github.com/quiesce-go/quiesce/driver/sqlite"
	"github.com/quiesce-go/quiesce/matrixstores/state"
	"github.com/quiesce-go/quiesce/storekit"
	"github.com/quiesce-go/quiesce/storekit/codec"
	"github.com/quiesce-go/quiesce/storekit/kv"
)

// StateConfig is what a StateStore is opened with.
type StateConfig struct{ Config }

// StateStore is a state.Store in SQLite.
type StateStore struct {
	base
	StateData
}

// StateData is what a StateStore keeps: with transactions of its own, or as a part of
// one of the caller's (StateStore.In).
type StateData struct {
	db    kv.DB
	codec *codec.Codec
	now   func() int64
	name  string
	grown *atomic.Bool // the writer's cache may be larger than it should be: see apply
}

var (
	_ state.Store = (*StateStore)(nil)
	_ interface {
		state.Saver
		state.Values
		state.CustomValues
		state.AccountData
		state.PresenceEvents
		state.StateEvents
		state.Members
		state.Profiles
		state.DisplayNames
		state.Receipts
		state.RoomInfos
		state.SendQueue
		state.DependentQueue
		state.ThreadSubscriptions
		state.GlobalProfiles
	} = StateData{}
)

//go:embed schema/state/*.sql
var stateSchema embed.FS

var stateKind = kind{
	name: "state", applicationID: 0x71537465, // qSte
	schema: stateSchema, dir: "schema/state",
	sealed: []storekit.SealedColumn{
		{Table: "room_id", Column: "name", Row: "row"},
		{Table: "kv", Column: "data", Row: "row"},
		{Table: "custom", Column: "data", Row: "row"},
		{Table: "account_data", Column: "data", Row: "row"},
		{Table: "room_account_data", Column: "data", Row: "row"},
		{Table: "presence", Column: "data", Row: "row"},
		{Table: "global_profile", Column: "data", Row: "row"},
		{Table: "room", Column: "data", Row: "row"},
		{Table: "state", Column: "data", Row: "row"},
		{Table: "member", Column: "data", Row: "row"},
		{Table: "profile", Column: "data", Row: "row"},
		{Table: "receipt", Column: "data", Row: "row"},
		{Table: "name", Column: "data", Row: "row"},
		{Table: "send_queue", Column: "content", Row: "row"},
		{Table: "send_queue", Column: "error", Row: "row"},
		{Table: "dependent", Column: "content", Row: "row"},
		{Table: "dependent", Column: "key", Row: "row"},
	},
}

// OpenState opens a state store, and makes it where there is none.
func OpenState(ctx context.Context, cfg StateConfig) (*StateStore, error) {
	cfg.Config.Database.IncrementalVacuum = true
	b, err := cfg.Config.open(ctx, stateKind)
	if err != nil {
		return nil, err
	}
	return &StateStore{base: b, StateData: StateData{db: b.Store, codec: b.Codec(), now: b.now, name: b.Name(), grown: new(atomic.Bool)}}, nil
}

// In returns the data as a part of the transaction that is open on c: reading
// methods join it, the others are a savepoint in it. It lasts as long as c may be used.
func (s *StateStore) In(c *sqlite.Conn) StateData {
	d := s.StateData
	d.db = storekit.Within(c)
	return d
}

// failed names the store and the operation that err comes from.
func (s StateData) failed(op string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %s: %w", s.name, op, err)
}
