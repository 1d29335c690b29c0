package memorystore

import (
	"cmp"
	"context"
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"

	"github.com/quiesce-go/quiesce/driver/memory"
	"github.com/quiesce-go/quiesce/matrixstores/state"
)

// What is read of a state store, and the single values.

// get returns the value of a row that is found by a key.
func (s *StateStore) get(ctx context.Context, op string, in memory.Table[*bytesRow], k string) (value []byte, found bool, err error) {
	err = s.read(ctx, op, func(t *stateTx) error {
		row, there, err := in.First(t.t, "id", textKey(k))
		if there {
			value, found = row.value, true
		}
		return err
	})
	return value, found, err
}

// Value returns the value of a key; see state.Values.
func (s *StateStore) Value(ctx context.Context, k state.ValueKey) (data []byte, found bool, err error) {
	err = s.read(ctx, "get a value", func(t *stateTx) error {
		row, there, err := values.First(t.t, "id", textKey(string(k.Bytes())))
		if there {
			data, found = append([]byte{}, row.data...), true
		}
		return err
	})
	return data, found, err
}

// SetValue sets the value of a key; see state.Values.
func (s *StateStore) SetValue(ctx context.Context, k state.ValueKey, data []byte) error {
	return s.write(ctx, "set a value", k.Check(), func(t *stateTx) error { return t.SetValue(k, data) })
}

// RemoveValue removes a key; see state.Values.
func (s *StateStore) RemoveValue(ctx context.Context, k state.ValueKey) error {
	return s.write(ctx, "remove a value", nil, func(t *stateTx) error { return remove(t, values, &valueRow{key: k}) })
}

// CustomValue returns the value of a key; see state.CustomValues.
func (s *StateStore) CustomValue(ctx context.Context, k []byte) (value []byte, found bool, err error) {
	value, found, err = s.get(ctx, "get a custom value", customs, string(k))
	if found {
		value = append([]byte{}, value...)
	}
	return value, found, err
}

// SetCustomValue sets the value of a key; see state.CustomValues.
func (s *StateStore) SetCustomValue(ctx context.Context, k, value []byte) error {
	return s.write(ctx, "set a custom value", nil, func(t *stateTx) error {
		return customs.Insert(t.t, &bytesRow{string(k), append([]byte{}, value...)})
	})
}

// SwapCustomValue sets the value of a key, and returns the one before; see state.CustomValues.
func (s *StateStore) SwapCustomValue(ctx context.Context, k, value []byte) (previous []byte, had bool, err error) {
	return s.custom(ctx, "swap a custom value", k, func(t *stateTx) error {
		return customs.Insert(t.t, &bytesRow{string(k), append([]byte{}, value...)})
	})
}

// RemoveCustomValue removes a key, and returns its value; see state.CustomValues.
func (s *StateStore) RemoveCustomValue(ctx context.Context, k []byte) (previous []byte, had bool, err error) {
	return s.custom(ctx, "remove a custom value", k, func(t *stateTx) error {
		return remove(t, customs, &bytesRow{key: string(k)})
	})
}

// custom changes a custom value, and returns the one before.
func (s *StateStore) custom(ctx context.Context, op string, k []byte, change func(*stateTx) error) (previous []byte, had bool, err error) {
	err = s.write(ctx, op, nil, func(t *stateTx) error {
		row, there, err := customs.First(t.t, "id", textKey(string(k)))
		if err != nil {
			return err
		}
		if had = there; there {
			previous = append([]byte{}, row.value...)
		}
		return change(t)
	})
	if err != nil {
		return nil, false, err
	}
	return previous, had, nil
}

// AccountData returns an event; see state.AccountData.
func (s *StateStore) AccountData(ctx context.Context, eventType string) (raw json.RawMessage, err error) {
	err = s.read(ctx, "get account data", func(t *stateTx) error {
		raw, err = t.AccountData(eventType)
		return err
	})
	return raw, err
}

// RoomAccountData returns an event of a room; see state.AccountData.
func (s *StateStore) RoomAccountData(ctx context.Context, room id.RoomID, eventType string) (raw json.RawMessage, err error) {
	err = s.read(ctx, "get account data of a room", func(t *stateTx) error {
		raw, err = t.RoomAccountData(room, eventType)
		return err
	})
	return raw, err
}

// Presence returns the presence of a user; see state.PresenceEvents.
func (s *StateStore) Presence(ctx context.Context, user id.UserID) (json.RawMessage, error) {
	raw, _, err := s.get(ctx, "get the presence of a user", presences, string(user))
	return raw, err
}

// Presences returns those of several users; see state.PresenceEvents.
func (s *StateStore) Presences(ctx context.Context, users []id.UserID) (all []json.RawMessage, err error) {
	err = s.read(ctx, "get the presence of users", func(t *stateTx) error {
		for _, user := range once(users) {
			row, there, err := presences.First(t.t, "id", textKey(string(user)))
			if err != nil {
				return err
			}
			if there {
				all = append(all, row.value)
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return all, nil
}

// GlobalProfile returns the profile of a user; see state.GlobalProfiles.
func (s *StateStore) GlobalProfile(ctx context.Context, user id.UserID) (p state.GlobalProfile, err error) {
	err = s.read(ctx, "get a global profile", func(t *stateTx) error {
		p, err = t.GlobalProfile(user)
		return err
	})
	return p, err
}

// GlobalProfiles returns those of several users; see state.GlobalProfiles.
func (s *StateStore) GlobalProfiles(ctx context.Context, users []id.UserID) (map[id.UserID]state.GlobalProfile, error) {
	all := make(map[id.UserID]state.GlobalProfile)
	err := s.read(ctx, "get global profiles", func(t *stateTx) error {
		for _, user := range once(users) {
			p, err := t.GlobalProfile(user)
			if err != nil {
				return err
			}
			if p != nil {
				all[user] = p
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return all, nil
}

// StateEvent returns a state event; see state.StateEvents.
func (s *StateStore) StateEvent(ctx context.Context, room id.RoomID, eventType, stateKey string) (e state.StateEvent, found bool, err error) {
	err = s.read(ctx, "get a state event", func(t *stateTx) error {
		e, found, err = t.StateEvent(room, eventType, stateKey)
		return err
	})
	return e, found, err
}

// StateEvents returns the events of a type; see state.StateEvents.
func (s *StateStore) StateEvents(ctx context.Context, room id.RoomID, eventType string) (all []state.StateEvent, err error) {
	err = s.read(ctx, "get state events", func(t *stateTx) error {
		for row, err := range stateEvents.Get(t.t, "age_prefix", roomKey(room, eventType)) {
			if err != nil {
				return err
			}
			all = append(all, row.StateEvent)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return all, nil
}

// StateEventsForKeys returns the events of a type with these state keys; see state.StateEvents.
func (s *StateStore) StateEventsForKeys(ctx context.Context, room id.RoomID, eventType string, stateKeys []string) (all []state.StateEvent, err error) {
	err = s.read(ctx, "get state events by their keys", func(t *stateTx) error {
		for _, k := range once(stateKeys) {
			e, found, err := t.StateEvent(room, eventType, k)
			if err != nil {
				return err
			}
			if found {
				all = append(all, e)
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return all, nil
}

// Member returns a member; see state.Members.
func (s *StateStore) Member(ctx context.Context, room id.RoomID, user id.UserID) (m state.Member, found bool, err error) {
	err = s.read(ctx, "get a member", func(t *stateTx) error {
		m, found, err = t.Member(room, user)
		return err
	})
	return m, found, err
}

// UserIDs returns who the members are; see state.Members.
func (s *StateStore) UserIDs(ctx context.Context, room id.RoomID, filter state.Memberships) (users []id.UserID, err error) {
	err = s.read(ctx, "get the users of a room", func(t *stateTx) error {
		return t.each(room, filter, 0, func(row *memberRow) bool { users = append(users, row.User); return true })
	})
	if err != nil {
		return nil, err
	}
	return users, nil
}

// memberList is the list that a cursor of Members belongs to.
const memberList = 'm'

// Members returns a page of members; see state.Members.
func (s *StateStore) Members(ctx context.Context, room id.RoomID, filter state.Memberships, page state.Page) (found state.MemberPage, err error) {
	question, after := state.MembersQuestion(room, filter), uint64(0)
	if page.After != "" {
		_, numbers, err := page.After.Parse(memberList, question, 1)
		if err != nil {
			return found, s.failed("get members", err)
		}
		after = uint64(max(numbers[0], 0))
	}
	err = s.read(ctx, "get members", func(t *stateTx) error {
		var last uint64
		return t.each(room, filter, after, func(row *memberRow) bool {
			if page.Limit > 0 && len(found.Members) == page.Limit {
				found.Next = state.MakeCursor(memberList, question, "", int64(last))
				return false
			}
			found.Members, last = append(found.Members, row.Member), row.n
			return true
		})
	})
	if err != nil {
		return state.MemberPage{}, err
	}
	return found, nil
}

// RoomsOf returns the rooms of a user; see state.Members.
func (s *StateStore) RoomsOf(ctx context.Context, user id.UserID, filter state.Memberships) (found []id.RoomID, err error) {
	err = s.read(ctx, "get the rooms of a user", func(t *stateTx) error {
		for row, err := range members.Get(t.t, "user_prefix", textKey(string(user))) {
			if err != nil {
				return err
			}
			if filter.Has(row.Membership) {
				found = append(found, row.room)
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return found, nil
}

// Profile returns a profile; see state.Profiles.
func (s *StateStore) Profile(ctx context.Context, room id.RoomID, user id.UserID) (p state.Profile, found bool, err error) {
	err = s.read(ctx, "get a profile", func(t *stateTx) error {
		p, found, err = t.Profile(room, user)
		return err
	})
	return p, found, err
}

// Profiles returns the profiles of users; see state.Profiles.
func (s *StateStore) Profiles(ctx context.Context, room id.RoomID, users []id.UserID) (map[id.UserID]state.Profile, error) {
	all := make(map[id.UserID]state.Profile)
	err := s.read(ctx, "get profiles", func(t *stateTx) error {
		for _, user := range once(users) {
			p, found, err := t.Profile(room, user)
			if err != nil {
				return err
			}
			if found {
				all[user] = p
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return all, nil
}

// UsersWithDisplayName returns who has a name; see state.DisplayNames.
func (s *StateStore) UsersWithDisplayName(ctx context.Context, room id.RoomID, name string) (users []id.UserID, err error) {
	err = s.read(ctx, "find who has a name", func(t *stateTx) error {
		users, err = t.named(room, name)
		return err
	})
	return users, err
}

// UsersWithDisplayNames returns who has which of these names; see state.DisplayNames.
func (s *StateStore) UsersWithDisplayNames(ctx context.Context, room id.RoomID, asked []string) (map[string][]id.UserID, error) {
	all := make(map[string][]id.UserID)
	err := s.read(ctx, "find who has these names", func(t *stateTx) error {
		for _, name := range once(asked) {
			users, err := t.named(room, name)
			if err != nil {
				return err
			}
			if len(users) > 0 {
				all[name] = users
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return all, nil
}

// named returns the members who have a name, and those who were given for it.
func (t *stateTx) named(room id.RoomID, name string) (users []id.UserID, err error) {
	k := state.NameKey(name)
	for row, err := range members.Get(t.t, "name_prefix", roomKey(room, k)) {
		if err != nil {
			return nil, err
		}
		users = append(users, row.User)
	}
	given, there, err := names.First(t.t, "id", roomKey(room, k))
	if err != nil {
		return nil, err
	}
	if there {
		users = append(users, given.users...)
	}
	slices.Sort(users)
	return slices.Compact(users), nil
}

// UserReceipt returns the receipt of a user; see state.Receipts.
func (s *StateStore) UserReceipt(ctx context.Context, room id.RoomID, rt event.ReceiptType, thread state.ReceiptThread, user id.UserID) (r state.Receipt, found bool, err error) {
	err = s.read(ctx, "get the receipt of a user", func(t *stateTx) error {
		row, there, err := receipts.First(t.t, "id", roomKey(room, string(user), string(rt), string(thread.Key())))
		if there {
			r, found = row.Receipt, true
			r.Extra = maps.Clone(r.Extra)
		}
		return err
	})
	return r, found, err
}

// EventReceipts returns the receipts at an event; see state.Receipts.
func (s *StateStore) EventReceipts(ctx context.Context, room id.RoomID, rt event.ReceiptType, thread state.ReceiptThread, evt id.EventID) (found []state.Receipt, err error) {
	at := state.Receipt{Event: evt, Type: rt, Thread: thread}
	err = s.read(ctx, "get the receipts at an event", func(t *stateTx) error {
		for row, err := range receipts.Get(t.t, "event_prefix", receiptEventKey(room, &at)) {
			if err != nil {
				return err
			}
			r := row.Receipt
			r.Extra = maps.Clone(r.Extra)
			found = append(found, r)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	slices.SortFunc(found, func(a, b state.Receipt) int { return cmp.Compare(a.User, b.User) })
	return found, nil
}

// RoomInfo returns what is known of a room; see state.RoomInfos.
func (s *StateStore) RoomInfo(ctx context.Context, room id.RoomID) (info *state.RoomInfo, err error) {
	err = s.read(ctx, "get what is known of a room", func(t *stateTx) error {
		info, err = t.RoomInfo(room)
		return err
	})
	return info, err
}

// IsEncrypted says whether a room is encrypted; see state.RoomInfos.
func (s *StateStore) IsEncrypted(ctx context.Context, room id.RoomID) (is bool, err error) {
	err = s.read(ctx, "ask whether a room is encrypted", func(t *stateTx) error {
		row, there, err := infos.First(t.t, "id", inRoom(room))
		if err != nil || there && row.encrypted {
			is = err == nil
			return err
		}
		e, _, err := t.StateEvent(room, event.StateEncryption.Type, "")
		is = e.IsEncryption()
		return err
	})
	return is, err
}

// RoomInfos returns all of them; see state.RoomInfos.
func (s *StateStore) RoomInfos(ctx context.Context) (all []*state.RoomInfo, err error) {
	page, err := s.Rooms(ctx, state.RoomFilter{}, state.ByAge, state.Page{})
	return page.Rooms, err
}

// roomOrder is an index of table info, with the place of a room in it.
type roomOrder struct {
	index string
	place func(*infoRow) []int64
	after func([]int64) key // the first key behind a place
}

var roomOrders = map[state.Order]roomOrder{
	state.ByRecency: {"recency",
		func(r *infoRow) []int64 { return []int64{r.recency, int64(r.n)} },
		func(p []int64) key { return key{}.falling(p[0]).number(uint64(p[1]) + 1) }},
	state.ByNotifications: {"notifications",
		func(r *infoRow) []int64 { return []int64{r.notifications, r.recency, int64(r.n)} },
		func(p []int64) key { return key{}.falling(p[0]).falling(p[1]).number(uint64(p[2]) + 1) }},
	state.ByHighlights: {"highlights",
		func(r *infoRow) []int64 { return []int64{r.highlights, r.recency, int64(r.n)} },
		func(p []int64) key { return key{}.falling(p[0]).falling(p[1]).number(uint64(p[2]) + 1) }},
	state.ByAge: {"age",
		func(r *infoRow) []int64 { return []int64{int64(r.n)} },
		func(p []int64) key { return key{}.number(uint64(p[0]) + 1) }},
}

// roomList is the list that a cursor of Rooms belongs to: one for each order.
func roomList(order state.Order) byte { return 'A' + byte(order) }

// fits says whether a filter lets a room through that was not opened.
func (r *infoRow) fits(f state.RoomFilter) bool {
	return f.States.Has(r.state) && r.flags&f.With == f.With && r.flags&f.Without == 0
}

// Rooms returns a page of rooms; see state.RoomInfos.
func (s *StateStore) Rooms(ctx context.Context, filter state.RoomFilter, order state.Order, page state.Page) (found state.RoomPage, err error) {
	err = order.Check()
	if err == nil && order == state.ByName {
		found, err = s.roomsByName(ctx, filter, page)
	} else if err == nil {
		found, err = s.roomsBy(ctx, filter, order, page)
	}
	if err != nil {
		return state.RoomPage{}, s.failed("list rooms", err)
	}
	return found, nil
}

func (s *StateStore) roomsBy(ctx context.Context, filter state.RoomFilter, order state.Order, page state.Page) (found state.RoomPage, err error) {
	o := roomOrders[order]
	from := key{}
	if page.After != "" {
		_, place, err := page.After.Parse(roomList(order), filter.Question(), len(o.place(&infoRow{})))
		if err != nil {
			return found, err
		}
		from = o.after(place)
	}
	err = s.db.Read(ctx, func(t *memory.Txn) error {
		var last *infoRow
		for row, err := range infos.LowerBound(t, o.index, from) {
			if err != nil {
				return err
			}
			if !row.fits(filter) {
				continue
			}
			if page.Limit > 0 && len(found.Rooms) == page.Limit {
				found.Next = state.MakeCursor(roomList(order), filter.Question(), "", o.place(last)...)
				return nil
			}
			info, err := row.open()
			if err != nil {
				return err
			}
			found.Rooms, last = append(found.Rooms, info), row
		}
		return nil
	})
	return found, err
}

// roomsByName opens everything that the filter lets through.
func (s *StateStore) roomsByName(ctx context.Context, filter state.RoomFilter, page state.Page) (found state.RoomPage, err error) {
	type named struct {
		key  string
		n    int64
		info *state.RoomInfo
	}
	compare := func(a, b named) int { return cmp.Or(strings.Compare(a.key, b.key), cmp.Compare(a.n, b.n)) }
	var after named
	if page.After != "" {
		text, numbers, err := page.After.Parse(roomList(state.ByName), filter.Question(), 1)
		if err != nil {
			return found, err
		}
		after = named{key: text, n: numbers[0]}
	}
	var all []named
	err = s.db.Read(ctx, func(t *memory.Txn) error {
		for row, err := range infos.Get(t, "age") {
			if err != nil {
				return err
			}
			if !row.fits(filter) {
				continue
			}
			info, err := row.open()
			if err != nil {
				return err
			}
			room := named{state.SortKey(info.DisplayName.String()), int64(row.n), info}
			if page.After == "" || compare(room, after) > 0 {
				all = append(all, room)
			}
		}
		return nil
	})
	if err != nil {
		return found, err
	}
	slices.SortFunc(all, compare)
	if page.Limit > 0 && len(all) > page.Limit {
		all = all[:page.Limit]
		last := all[page.Limit-1]
		found.Next = state.MakeCursor(roomList(state.ByName), filter.Question(), last.key, last.n)
	}
	for _, room := range all {
		found.Rooms = append(found.Rooms, room.info)
	}
	return found, nil
}

// Subscription returns the subscription of a thread; see state.ThreadSubscriptions.
func (s *StateStore) Subscription(ctx context.Context, room id.RoomID, root id.EventID) (sub state.Subscription, found bool, err error) {
	err = s.read(ctx, "get the subscription of a thread", func(t *stateTx) error {
		row, there, err := subscriptions.First(t.t, "id", roomKey(room, string(root)))
		if there {
			sub, found = row.Subscription, true
		}
		return err
	})
	return sub, found, err
}

// SaveSubscriptions merges subscriptions into those that are stored; see state.ThreadSubscriptions.
func (s *StateStore) SaveSubscriptions(ctx context.Context, all []state.ThreadSubscription) error {
	var err error
	for i := range all {
		if err == nil {
			err = all[i].Check()
		}
	}
	return s.write(ctx, "save thread subscriptions", err, func(t *stateTx) error {
		for _, sub := range all {
			row, there, err := subscriptions.First(t.t, "id", roomKey(sub.Room, string(sub.Root)))
			if err != nil {
				return err
			}
			var stored *state.Subscription
			if there {
				stored = &row.Subscription
			}
			sub.Subscription = state.MergeSubscription(stored, sub.Subscription)
			if err := subscriptions.Insert(t.t, &subscriptionRow{sub}); err != nil {
				return err
			}
		}
		return nil
	})
}

// RemoveSubscription removes the subscription of a thread; see state.ThreadSubscriptions.
func (s *StateStore) RemoveSubscription(ctx context.Context, room id.RoomID, root id.EventID) error {
	return s.write(ctx, "remove the subscription of a thread", nil, func(t *stateTx) error {
		return remove(t, subscriptions, &subscriptionRow{state.ThreadSubscription{Room: room, Root: root}})
	})
}
