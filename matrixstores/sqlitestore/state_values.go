package sqlitestore

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"

	"maunium.net/go/mautrix/id"

	"github.com/quiesce-go/quiesce/matrixstores/state"
	"github.com/quiesce-go/quiesce/storekit/codec"
	"github.com/quiesce-go/quiesce/storekit/secret"
)

// Single values under a key: those of Values and CustomValues, account data, presence, global profiles.

// keyed are the statements of a table that has one key. Its name is also the domain of the key.
type keyed struct {
	table, domain          string
	get, many, put, remove string
}

func keyedTable(table string) keyed {
	return keyed{
		table: table, domain: "state." + table,
		get:    `SELECT row, data FROM ` + table + ` WHERE key = ?`,
		many:   `WITH ` + codec.Listed + ` SELECT listed.n, row, data FROM listed CROSS JOIN ` + table + ` ON ` + table + `.key = listed.key`,
		put:    `INSERT INTO ` + table + ` (row, data, key) VALUES (?, ?, ?) ON CONFLICT (key) DO UPDATE SET row = excluded.row, data = excluded.data`,
		remove: `DELETE FROM ` + table + ` WHERE key = ?`,
	}
}

var (
	kvTable          = keyedTable("kv")
	customTable      = keyedTable("custom")
	accountDataTable = keyedTable("account_data")
	presenceTable    = keyedTable("presence")
	globalTable      = keyedTable("global_profile")
)

const (
	upsertValue = `INSERT INTO kv (row, data, key, room) VALUES (?, ?, ?, ?) ON CONFLICT (key) DO UPDATE SET row = excluded.row, data = excluded.data`

	upsertRoomData = `INSERT INTO room_account_data (row, data, room, type) VALUES (?, ?, ?, ?) ON CONFLICT (room, type) DO UPDATE SET row = excluded.row, data = excluded.data`
	selectRoomData = `SELECT row, data FROM room_account_data WHERE room = ? AND type = ?`
)

func (t *stateTx) getKeyed(in keyed, key string) (plain []byte, at secret.Place, found bool, err error) {
	k, err := t.key(in.domain, key)
	if err != nil {
		return nil, at, false, err
	}
	return t.one(in.table, in.get, k)
}

func (t *stateTx) putKeyed(in keyed, key string, plain []byte) error {
	k, err := t.key(in.domain, key)
	if err != nil {
		return err
	}
	return t.put(in.table, in.put, plain, k)
}

func (t *stateTx) removeKeyed(in keyed, key string) error {
	k, err := t.key(in.domain, key)
	if err != nil {
		return err
	}
	_, err = t.exec(in.remove, k)
	return err
}

// manyKeyed calls fn for those keys that are there.
func manyKeyed[K ~string](t *stateTx, in keyed, keys []K, fn func(k K, plain []byte, at secret.Place) error) error {
	list, err := codec.KeyList(t.codec, in.domain, keys)
	if err != nil {
		return err
	}
	return t.each(in.table, in.many, func(n int64, plain []byte, at secret.Place) error { return fn(keys[n], plain, at) }, list)
}

// Value returns the value of a key; see state.Values.
func (s StateData) Value(ctx context.Context, key state.ValueKey) (data []byte, found bool, err error) {
	err = s.view(ctx, func(t *stateTx) error {
		data, _, found, err = t.getKeyed(kvTable, string(key.Bytes()))
		return err
	})
	return data, found, s.failed("get a value", err)
}

// SetValue sets the value of a key; see state.Values.
func (s StateData) SetValue(ctx context.Context, key state.ValueKey, data []byte) error {
	err := key.Check()
	if err == nil {
		err = s.update(ctx, func(t *stateTx) error { return t.SetValue(key, data) })
	}
	return s.failed("set a value", err)
}

// SetValue is a step of SaveChanges, and what StateData.SetValue does.
func (t *stateTx) SetValue(key state.ValueKey, data []byte) error {
	k, err := t.key(kvTable.domain, string(key.Bytes()))
	if err != nil {
		return err
	}
	var room any
	if key.Room() != "" {
		if room, err = t.makeRoom(key.Room()); err != nil {
			return err
		}
	}
	return t.put(kvTable.table, upsertValue, data, k, room)
}

// RemoveValue removes a key; see state.Values.
func (s StateData) RemoveValue(ctx context.Context, key state.ValueKey) error {
	return s.failed("remove a value", s.update(ctx, func(t *stateTx) error {
		return t.removeKeyed(kvTable, string(key.Bytes()))
	}))
}

// CustomValue returns the value of a key; see state.CustomValues.
func (s StateData) CustomValue(ctx context.Context, key []byte) (value []byte, found bool, err error) {
	err = s.view(ctx, func(t *stateTx) error {
		value, _, found, err = t.getKeyed(customTable, string(key))
		return err
	})
	return value, found, s.failed("get a custom value", err)
}

// SetCustomValue sets the value of a key; see state.CustomValues.
func (s StateData) SetCustomValue(ctx context.Context, key, value []byte) error {
	return s.failed("set a custom value", s.update(ctx, func(t *stateTx) error {
		return t.putKeyed(customTable, string(key), value)
	}))
}

// SwapCustomValue sets the value of a key, and returns the one before; see state.CustomValues.
func (s StateData) SwapCustomValue(ctx context.Context, key, value []byte) (previous []byte, had bool, err error) {
	err = s.update(ctx, func(t *stateTx) error {
		if previous, _, had, err = t.getKeyed(customTable, string(key)); err != nil {
			return err
		}
		return t.putKeyed(customTable, string(key), value)
	})
	return s.before("swap a custom value", previous, had, err)
}

// RemoveCustomValue removes a key, and returns its value; see state.CustomValues.
func (s StateData) RemoveCustomValue(ctx context.Context, key []byte) (previous []byte, had bool, err error) {
	err = s.update(ctx, func(t *stateTx) error {
		if previous, _, had, err = t.getKeyed(customTable, string(key)); err != nil || !had {
			return err
		}
		return t.removeKeyed(customTable, string(key))
	})
	return s.before("remove a custom value", previous, had, err)
}

// before returns what was there before, and nothing where nothing has changed.
func (s StateData) before(op string, previous []byte, had bool, err error) ([]byte, bool, error) {
	if err != nil {
		return nil, false, s.failed(op, err)
	}
	return previous, had, nil
}

// AccountData returns an event; see state.AccountData.
func (s StateData) AccountData(ctx context.Context, eventType string) (raw json.RawMessage, err error) {
	err = s.view(ctx, func(t *stateTx) error {
		raw, err = t.AccountData(eventType)
		return err
	})
	return raw, s.failed("get account data", err)
}

// AccountData is a step of SaveChanges.
func (t *stateTx) AccountData(eventType string) (json.RawMessage, error) {
	raw, _, _, err := t.getKeyed(accountDataTable, eventType)
	return raw, err
}

// PutAccountData is a step of SaveChanges.
func (t *stateTx) PutAccountData(eventType string, raw json.RawMessage) error {
	return t.putKeyed(accountDataTable, eventType, raw)
}

// RoomAccountData returns an event of a room; see state.AccountData.
func (s StateData) RoomAccountData(ctx context.Context, room id.RoomID, eventType string) (raw json.RawMessage, err error) {
	err = s.view(ctx, func(t *stateTx) error {
		raw, err = t.RoomAccountData(room, eventType)
		return err
	})
	return raw, s.failed("get account data of a room", err)
}

// RoomAccountData is a step of SaveChanges.
func (t *stateTx) RoomAccountData(room id.RoomID, eventType string) (json.RawMessage, error) {
	n, err := t.room(room)
	if err != nil || n == 0 {
		return nil, err
	}
	number, err := t.typeNumber(accountType, eventType)
	if err != nil || number == 0 {
		return nil, err
	}
	raw, _, _, err := t.one("room_account_data", selectRoomData, n, number)
	return raw, err
}

// PutRoomAccountData is a step of SaveChanges.
func (t *stateTx) PutRoomAccountData(room id.RoomID, eventType string, raw json.RawMessage) error {
	n, err := t.makeRoom(room)
	if err != nil {
		return err
	}
	number, err := t.makeType(accountType, eventType)
	if err != nil {
		return err
	}
	return t.put("room_account_data", upsertRoomData, raw, n, number)
}

// Presence returns the presence of a user; see state.PresenceEvents.
func (s StateData) Presence(ctx context.Context, user id.UserID) (raw json.RawMessage, err error) {
	err = s.view(ctx, func(t *stateTx) error {
		raw, _, _, err = t.getKeyed(presenceTable, string(user))
		return err
	})
	return raw, s.failed("get the presence of a user", err)
}

// Presences returns those of several users; see state.PresenceEvents.
func (s StateData) Presences(ctx context.Context, users []id.UserID) (all []json.RawMessage, err error) {
	if len(users) == 0 {
		return nil, s.failed("get presence", s.admitted(ctx))
	}
	users = once(users)
	found := make(map[id.UserID]json.RawMessage)
	err = s.view(ctx, func(t *stateTx) error {
		return manyKeyed(t, presenceTable, users, func(user id.UserID, raw []byte, _ secret.Place) error {
			found[user] = raw
			return nil
		})
	})
	if err != nil {
		return nil, s.failed("get the presence of users", err)
	}
	for _, user := range users {
		if raw := found[user]; raw != nil {
			all = append(all, raw)
		}
	}
	return all, nil
}

// PutPresence is a step of SaveChanges.
func (t *stateTx) PutPresence(user id.UserID, raw json.RawMessage) error {
	return t.putKeyed(presenceTable, string(user), raw)
}

// GlobalProfile returns the profile of a user; see state.GlobalProfiles.
func (s StateData) GlobalProfile(ctx context.Context, user id.UserID) (p state.GlobalProfile, err error) {
	err = s.view(ctx, func(t *stateTx) error {
		p, err = t.GlobalProfile(user)
		return err
	})
	return p, s.failed("get a global profile", err)
}

// GlobalProfiles returns those of several users; see state.GlobalProfiles.
func (s StateData) GlobalProfiles(ctx context.Context, users []id.UserID) (map[id.UserID]state.GlobalProfile, error) {
	all := make(map[id.UserID]state.GlobalProfile)
	if len(users) == 0 {
		return all, s.failed("get global profiles", s.admitted(ctx))
	}
	users = once(users)
	err := s.view(ctx, func(t *stateTx) error {
		return manyKeyed(t, globalTable, users, func(user id.UserID, plain []byte, at secret.Place) (err error) {
			all[user], err = openGlobal(at, plain)
			return err
		})
	})
	if err != nil {
		return nil, s.failed("get global profiles", err)
	}
	return all, nil
}

// GlobalProfile is a step of SaveChanges.
func (t *stateTx) GlobalProfile(user id.UserID) (state.GlobalProfile, error) {
	plain, at, found, err := t.getKeyed(globalTable, string(user))
	if err != nil || !found {
		return nil, err
	}
	return openGlobal(at, plain)
}

func openGlobal(at secret.Place, plain []byte) (p state.GlobalProfile, err error) {
	if err := codec.DecodeJSON(at, plain, &p); err != nil {
		return nil, brokenJSON(err)
	}
	return p, nil
}

// PutGlobalProfile is a step of SaveChanges.
func (t *stateTx) PutGlobalProfile(user id.UserID, p state.GlobalProfile) error {
	plain, err := plainJSON(p)
	if err != nil {
		return err
	}
	return t.putKeyed(globalTable, string(user), plain)
}

// DeleteGlobalProfile is a step of SaveChanges.
func (t *stateTx) DeleteGlobalProfile(user id.UserID) error {
	return t.removeKeyed(globalTable, string(user))
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

// brokenJSON is an error of decoding as the contract has it.
func brokenJSON(err error) error { return fmt.Errorf("%w: %w", state.ErrBroken, err) }
