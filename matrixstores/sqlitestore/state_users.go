package sqlitestore

import (
	"cmp"
	"context"
	"slices"

	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"

	"github.com/quiesce-go/quiesce/matrixstores/state"
	"github.com/quiesce-go/quiesce/storekit/codec"
	"github.com/quiesce-go/quiesce/storekit/secret"
)

// What is known of users in a room besides their membership: profiles, names, receipts.

const (
	upsertProfile = `INSERT INTO profile (row, data, room, user, event) VALUES (?, ?, ?, ?, ?)
		ON CONFLICT (room, user) DO UPDATE SET event = excluded.event, row = excluded.row, data = excluded.data`
	removeProfile      = `DELETE FROM profile WHERE room = ? AND user = ?`
	selectProfile      = `SELECT row, data FROM profile WHERE room = ? AND user = ?`
	selectProfilesFrom = `SELECT n, row, data FROM profile WHERE room = ? AND event = ?`

	selectProfiles = `WITH ` + codec.Listed + ` SELECT listed.n, row, data FROM listed CROSS JOIN profile ON profile.room = ? AND profile.user = listed.key`

	upsertNames   = `INSERT INTO name (row, data, room, name) VALUES (?, ?, ?, ?) ON CONFLICT (room, name) DO UPDATE SET row = excluded.row, data = excluded.data`
	removeNames   = `DELETE FROM name WHERE room = ? AND name = ?`
	selectNames   = `WITH ` + codec.Listed + ` SELECT listed.n, row, data FROM listed CROSS JOIN name ON name.room = ? AND name.name = listed.key`
	selectNamesOf = `WITH ` + codec.Listed + ` SELECT listed.n, row, data FROM listed CROSS JOIN member ON member.room = ? AND member.name = listed.key`

	upsertReceipt = `INSERT INTO receipt (row, data, room, user, type, thread, event) VALUES (?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (room, user, type, thread) DO UPDATE SET event = excluded.event, row = excluded.row, data = excluded.data`
	selectReceipt  = `SELECT row, data FROM receipt WHERE room = ? AND user = ? AND type = ? AND thread = ?`
	selectReceipts = `SELECT n, row, data FROM receipt WHERE room = ? AND event = ? AND type = ? AND thread = ?`
)

// PutProfile is a step of SaveChanges.
func (t *stateTx) PutProfile(room id.RoomID, user id.UserID, p state.Profile) error {
	n, err := t.makeRoom(room)
	if err != nil {
		return err
	}
	key, err := t.key(domainProfile, string(user))
	if err != nil {
		return err
	}
	evt, err := t.optional(domainProfileEvent, string(p.EventID))
	if err != nil {
		return err
	}
	plain, err := plainJSON(storedProfile{user, p})
	if err != nil {
		return err
	}
	return t.put("profile", upsertProfile, plain, n, key, evt)
}

// storedProfile is a profile with whose it is, which the hash of the user does not tell.
type storedProfile struct {
	User id.UserID `json:"user_id"`
	state.Profile
}

// ProfilesFrom is a step of SaveChanges.
func (t *stateTx) ProfilesFrom(room id.RoomID, evt id.EventID) (users []id.UserID, err error) {
	err = t.inRoom(room, func(t *stateTx, n int64) error {
		key, err := t.key(domainProfileEvent, string(evt))
		if err != nil {
			return err
		}
		return t.each("profile", selectProfilesFrom, func(_ int64, plain []byte, at secret.Place) error {
			p, err := openProfile(at, plain)
			users = append(users, p.User)
			return err
		}, n, key)
	})
	return users, err
}

// DeleteProfile is a step of SaveChanges.
func (t *stateTx) DeleteProfile(room id.RoomID, user id.UserID) error {
	return t.inRoom(room, func(t *stateTx, n int64) error {
		key, err := t.key(domainProfile, string(user))
		if err != nil {
			return err
		}
		_, err = t.exec(removeProfile, n, key)
		return err
	})
}

// Profile is a step of SaveChanges, and what StateData.Profile does.
func (t *stateTx) Profile(room id.RoomID, user id.UserID) (p state.Profile, found bool, err error) {
	err = t.inRoom(room, func(t *stateTx, n int64) error {
		key, err := t.key(domainProfile, string(user))
		if err != nil {
			return err
		}
		plain, at, there, err := t.one("profile", selectProfile, n, key)
		if err != nil || !there {
			return err
		}
		stored, err := openProfile(at, plain)
		p, found = stored.Profile, err == nil
		return err
	})
	return p, found, err
}

func openProfile(at secret.Place, plain []byte) (p storedProfile, err error) {
	if err := codec.DecodeJSON(at, plain, &p); err != nil {
		return storedProfile{}, brokenJSON(err)
	}
	return p, nil
}

// Profile returns a profile; see state.Profiles.
func (s StateData) Profile(ctx context.Context, room id.RoomID, user id.UserID) (p state.Profile, found bool, err error) {
	err = s.view(ctx, func(t *stateTx) error {
		p, found, err = t.Profile(room, user)
		return err
	})
	return p, found, s.failed("get a profile", err)
}

// Profiles returns the profiles of users; see state.Profiles.
func (s StateData) Profiles(ctx context.Context, room id.RoomID, users []id.UserID) (map[id.UserID]state.Profile, error) {
	profiles := make(map[id.UserID]state.Profile)
	if len(users) == 0 {
		return profiles, s.failed("get profiles", s.admitted(ctx))
	}
	users = once(users)
	err := s.viewRoom(ctx, room, func(t *stateTx, n int64) error {
		list, err := codec.KeyList(t.codec, domainProfile, users)
		if err != nil {
			return err
		}
		return t.each("profile", selectProfiles, func(i int64, plain []byte, at secret.Place) error {
			p, err := openProfile(at, plain)
			profiles[users[i]] = p.Profile
			return err
		}, list, n)
	})
	if err != nil {
		return nil, s.failed("get profiles", err)
	}
	return profiles, nil
}

// PutNames is a step of SaveChanges.
func (t *stateTx) PutNames(room id.RoomID, nameKey string, users []id.UserID) error {
	if len(users) == 0 {
		return t.inRoom(room, func(t *stateTx, n int64) error {
			key, err := t.key(domainStateName, nameKey)
			if err != nil {
				return err
			}
			_, err = t.exec(removeNames, n, key)
			return err
		})
	}
	n, err := t.makeRoom(room)
	if err != nil {
		return err
	}
	key, err := t.key(domainStateName, nameKey)
	if err != nil {
		return err
	}
	t.record = appendUsers(t.record[:0], users)
	return t.put("name", upsertNames, t.record, n, key)
}

// UsersWithDisplayName returns who has a name; see state.DisplayNames.
func (s StateData) UsersWithDisplayName(ctx context.Context, room id.RoomID, name string) ([]id.UserID, error) {
	all, err := s.usersWithNames(ctx, room, []string{name})
	return all[name], s.failed("find who has a name", err)
}

// UsersWithDisplayNames returns who has which of these names; see state.DisplayNames.
func (s StateData) UsersWithDisplayNames(ctx context.Context, room id.RoomID, names []string) (map[string][]id.UserID, error) {
	all, err := s.usersWithNames(ctx, room, names)
	if err != nil {
		return nil, s.failed("find who has these names", err)
	}
	return all, nil
}

func (s StateData) usersWithNames(ctx context.Context, room id.RoomID, names []string) (map[string][]id.UserID, error) {
	all := make(map[string][]id.UserID)
	if len(names) == 0 {
		return all, s.admitted(ctx)
	}
	names = once(names)
	keys := make([]string, len(names))
	for i, name := range names {
		keys[i] = state.NameKey(name)
	}
	asked := once(keys)
	users := make(map[string][]id.UserID)
	err := s.viewRoom(ctx, room, func(t *stateTx, n int64) error {
		list, err := codec.KeyList(t.codec, domainStateName, asked)
		if err != nil {
			return err
		}
		err = t.each("member", selectNamesOf, func(i int64, plain []byte, at secret.Place) error {
			user, err := memberUser(plain)
			if err != nil {
				return damaged(at, err)
			}
			users[asked[i]] = append(users[asked[i]], user)
			return nil
		}, list, n)
		if err != nil {
			return err
		}
		return t.each("name", selectNames, func(i int64, plain []byte, at secret.Place) error {
			given, err := parseUsers(plain)
			if err != nil {
				return damaged(at, err)
			}
			users[asked[i]] = append(users[asked[i]], given...)
			return nil
		}, list, n)
	})
	if err != nil {
		return nil, err
	}
	for _, some := range users {
		slices.Sort(some)
	}
	for i, name := range names {
		if some := users[keys[i]]; len(some) > 0 {
			all[name] = slices.Compact(slices.Clone(some)) // names that look alike have a list each
		}
	}
	return all, nil
}

// PutReceipt is a step of SaveChanges.
func (t *stateTx) PutReceipt(room id.RoomID, r state.Receipt) error {
	n, err := t.makeRoom(room)
	if err != nil {
		return err
	}
	number, err := t.makeType(receiptType, string(r.Type))
	if err != nil {
		return err
	}
	user, err := t.key(domainReceiptUser, string(r.User))
	if err != nil {
		return err
	}
	thread, err := t.key(domainThread, string(r.Thread.Key()))
	if err != nil {
		return err
	}
	evt, err := t.key(domainReceiptEvent, string(r.Event))
	if err != nil {
		return err
	}
	if t.record, err = appendReceipt(t.record[:0], &r); err != nil {
		return err
	}
	return t.put("receipt", upsertReceipt, t.record, n, user, number, thread, evt)
}

// UserReceipt returns the receipt of a user; see state.Receipts.
func (s StateData) UserReceipt(ctx context.Context, room id.RoomID, rt event.ReceiptType, thread state.ReceiptThread, user id.UserID) (r state.Receipt, found bool, err error) {
	err = s.viewReceipts(ctx, room, rt, thread, func(t *stateTx, n, number int64, thread []byte) error {
		key, err := t.key(domainReceiptUser, string(user))
		if err != nil {
			return err
		}
		plain, at, there, err := t.one("receipt", selectReceipt, n, key, number, thread)
		if err != nil || !there {
			return err
		}
		if r, err = parseReceipt(plain); err != nil {
			return damaged(at, err)
		}
		found = true
		return nil
	})
	return r, found, s.failed("get the receipt of a user", err)
}

// EventReceipts returns the receipts at an event; see state.Receipts.
func (s StateData) EventReceipts(ctx context.Context, room id.RoomID, rt event.ReceiptType, thread state.ReceiptThread, evt id.EventID) (receipts []state.Receipt, err error) {
	err = s.viewReceipts(ctx, room, rt, thread, func(t *stateTx, n, number int64, thread []byte) error {
		key, err := t.key(domainReceiptEvent, string(evt))
		if err != nil {
			return err
		}
		return t.each("receipt", selectReceipts, func(_ int64, plain []byte, at secret.Place) error {
			r, err := parseReceipt(plain)
			if err != nil {
				return damaged(at, err)
			}
			receipts = append(receipts, r)
			return nil
		}, n, key, number, thread)
	})
	if err != nil {
		return nil, s.failed("get the receipts at an event", err)
	}
	slices.SortFunc(receipts, func(a, b state.Receipt) int { return cmp.Compare(a.User, b.User) })
	return receipts, nil
}

// viewReceipts calls fn with what receipts of a type and a thread are found by, and does not where there are none.
func (s StateData) viewReceipts(ctx context.Context, room id.RoomID, rt event.ReceiptType, thread state.ReceiptThread, fn func(t *stateTx, n, number int64, thread []byte) error) error {
	return s.viewRoom(ctx, room, func(t *stateTx, n int64) error {
		number, err := t.typeNumber(receiptType, string(rt))
		if err != nil || number == 0 {
			return err
		}
		key, err := t.key(domainThread, string(thread.Key()))
		if err != nil {
			return err
		}
		return fn(t, n, number, key)
	})
}
