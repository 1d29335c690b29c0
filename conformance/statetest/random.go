package statetest

// Random changes and operations, on a store and on the model: after them, both give the same answer to every question.

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"

	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"

	"github.com/quiesce-go/quiesce/internal/tier"
	"github.com/quiesce-go/quiesce/matrixstores/state"
)

var (
	stateRooms  = []id.RoomID{"!a:x", "!b:x", "!комната\x00:x"}
	stateUsers  = []id.UserID{"@me:x", "@ann:x", "@bob:x", "@ζ:x"}
	stateTypes  = []string{"m.room.member", "m.room.topic", "m.room.name", "m.room.encryption", "org.example.own"}
	stateNames  = []string{"Ann", "ann", "Аnn", "\u202e", ""}
	stateIDs    = []id.EventID{"$1", "$2", "$3", "$4"}
	stateTxns   = []string{"t1", "t2", "t3"}
	accountData = []string{"m.direct", "m.tag", "m.marked_unread", "org.example.account"}
	allFilters  = []state.Memberships{0, state.Join, state.Active, state.Leave | state.Ban, state.AnyKnown}
	allOrders   = []state.Order{state.ByRecency, state.ByNotifications, state.ByHighlights, state.ByAge, state.ByName}
	roomFilters = []state.RoomFilter{
		{}, {States: state.StatesOf(state.Joined)}, {States: state.StatesOf(state.Invited, state.Left), Without: state.FlagDirect},
		{With: state.FlagUnread}, {With: state.FlagDirect}, {Without: state.FlagMarkedUnread | state.FlagEncrypted},
	}
	stateThreads = []state.ReceiptThread{state.Unthreaded, state.MainThread, state.Thread("$1"), state.Thread("main")}
	stateValues  = []state.ValueKey{
		state.SyncToken().ValueKey, state.FilterID("f").ValueKey, state.Draft("!a:x").ValueKey, state.Draft("!b:x").ValueKey, state.ThreadDraft("!a:x", "$1").ValueKey,
	}
)

// ctx is that of all questions: nobody waits for them.
var ctx = context.Background()

// answers are what a store says, by the question.
type answers map[string]string

func (a answers) add(what string, answer ...any) {
	var b strings.Builder
	for _, part := range answer {
		switch v := part.(type) {
		case nil:
			continue
		case error:
			fmt.Fprintf(&b, "error %v; ", v)
			continue
		case json.RawMessage, []json.RawMessage, state.StateEvent, []state.StateEvent: // byte for byte
			fmt.Fprintf(&b, "%q; ", v)
			continue
		case state.GlobalProfile:
			fmt.Fprintf(&b, "nil=%v ", v == nil)
		case []state.QueuedRequest:
			for _, q := range v {
				fmt.Fprintf(&b, "%T %T ", q.Request, q.Error)
			}
		case []state.DependentRequest:
			for _, d := range v {
				fmt.Fprintf(&b, "%T %T ", d.Dependent, d.ParentKey)
			}
		}
		text, err := json.Marshal(part)
		if err != nil {
			text = []byte(err.Error())
		}
		if s := string(text); s != "[]" && s != "null" {
			b.WriteString(s + "; ")
		}
	}
	a[what] = b.String()
}

// ask asks a store everything. Lists come in pages of a size, one behind the other.
// In the short tier it is the same questions of fewer things: every order and every filter, but not all of both.
func ask(s stateStoreData, page int) answers {
	a := answers{}
	for _, key := range stateValues {
		v, found, err := s.Value(ctx, key)
		a.add(fmt.Sprintf("Value(%v %q)", key, key.Bytes()), v, found, err)
	}
	for _, key := range [][]byte{nil, {0xff}, []byte("k")} {
		v, found, err := s.CustomValue(ctx, key)
		a.add(fmt.Sprintf("CustomValue(%q)", key), v, found, err)
	}
	for _, eventType := range accountData {
		raw, err := s.AccountData(ctx, eventType)
		a.add("AccountData "+eventType, raw, err)
	}
	users := append([]id.UserID{"@nobody:x", stateUsers[2]}, stateUsers...)
	for _, user := range users {
		raw, err := s.Presence(ctx, user)
		a.add("Presence "+string(user), raw, err)
		p, err := s.GlobalProfile(ctx, user)
		a.add("GlobalProfile "+string(user), p, err)
		for _, filter := range allFilters {
			rooms, err := s.RoomsOf(ctx, user, filter)
			a.add(fmt.Sprint("RoomsOf ", user, filter), rooms, err)
		}
	}
	raws, err := s.Presences(ctx, users)
	a.add("Presences", raws, err)
	globals, err := s.GlobalProfiles(ctx, users)
	a.add("GlobalProfiles", globals, err)
	infos, err := s.RoomInfos(ctx)
	a.add("RoomInfos", infos, err)
	for i, order := range allOrders {
		for j, filter := range roomFilters {
			if !asksAll() && (i+1)%len(roomFilters) != j && i*j != 0 {
				continue
			}
			rooms, err := allPages(page, func(p state.Page) ([]*state.RoomInfo, state.Cursor, error) {
				got, err := s.Rooms(ctx, filter, order, p)
				return got.Rooms, got.Next, err
			})
			a.add(fmt.Sprint("Rooms ", order, filter), rooms, err)
		}
	}
	waiting, err := s.RoomsWithRequests(ctx)
	a.add("RoomsWithRequests", waiting, err)
	rooms := append([]id.RoomID{"!none:x"}, stateRooms...)
	if asksAll() {
		rooms = append(rooms, "")
	}
	for _, room := range rooms {
		askRoom(s, a, room, users, page)
	}
	return a
}

func asksAll() bool { return tier.Count(0, 1, 1) == 1 }

func askRoom(s stateStoreData, a answers, room id.RoomID, users []id.UserID, page int) {
	add := func(what string, answer ...any) { a.add(fmt.Sprintf("%q: %s", room, what), answer...) }
	info, err := s.RoomInfo(ctx, room)
	add("RoomInfo", info, err)
	for _, eventType := range accountData {
		raw, err := s.RoomAccountData(ctx, room, eventType)
		add("RoomAccountData "+eventType, raw, err)
	}
	for _, eventType := range stateTypes {
		e, found, err := s.StateEvent(ctx, room, eventType, "")
		add("StateEvent "+eventType, e, found, err)
		events, err := s.StateEvents(ctx, room, eventType)
		add("StateEvents "+eventType, events, err)
		events, err = s.StateEventsForKeys(ctx, room, eventType, []string{"@bob:x", "", "none", "@me:x", "", "@ann:x"})
		add("StateEventsForKeys "+eventType, events, err)
	}
	for _, user := range users {
		m, found, err := s.Member(ctx, room, user)
		add("Member "+string(user), m, found, err)
		p, found, err := s.Profile(ctx, room, user)
		add("Profile "+string(user), p, found, err)
		for _, thread := range stateThreads {
			r, found, err := s.UserReceipt(ctx, room, event.ReceiptTypeRead, thread, user)
			add(fmt.Sprint("UserReceipt ", user, thread), r, found, err)
		}
	}
	for _, filter := range allFilters {
		ids, err := s.UserIDs(ctx, room, filter)
		add(fmt.Sprint("UserIDs ", filter), ids, err)
		members, err := allPages(page, func(p state.Page) ([]state.Member, state.Cursor, error) {
			got, err := s.Members(ctx, room, filter, p)
			return got.Members, got.Next, err
		})
		add(fmt.Sprint("Members ", filter), members, err)
	}
	profiles, err := s.Profiles(ctx, room, users)
	add("Profiles", profiles, err)
	for _, name := range stateNames {
		got, err := s.UsersWithDisplayName(ctx, room, name)
		add("UsersWithDisplayName "+name, got, err)
	}
	named, err := s.UsersWithDisplayNames(ctx, room, stateNames)
	add("UsersWithDisplayNames", named, err)
	for i, thread := range stateThreads {
		for j, evt := range stateIDs {
			for k, t := range []event.ReceiptType{event.ReceiptTypeRead, event.ReceiptTypeReadPrivate} {
				if !asksAll() && (i+j)%2 != k {
					continue
				}
				got, err := s.EventReceipts(ctx, room, t, thread, evt)
				add(fmt.Sprint("EventReceipts ", t, thread, evt), got, err)
			}
		}
	}
	queue, err := s.Requests(ctx, room)
	add("Requests", queue, err)
	dependents, err := s.Dependents(ctx, room)
	add("Dependents", dependents, err)
	for _, root := range stateIDs {
		sub, found, err := s.Subscription(ctx, room, root)
		add("Subscription "+string(root), sub, found, err)
	}
}

// allPages reads a list page by page.
func allPages[T any](limit int, read func(state.Page) ([]T, state.Cursor, error)) (all []T, err error) {
	page := state.Page{Limit: limit}
	for {
		some, next, err := read(page)
		if err != nil {
			return nil, err
		}
		if all = append(all, some...); next == "" {
			return all, nil
		}
		if limit > 0 && len(some) != limit {
			return nil, fmt.Errorf("a page of %d has %d, and more are to come", limit, len(some))
		}
		page.After = next
	}
}

type chance struct{ *rand.Rand }

func pick[T any](c chance, from []T) T { return from[c.IntN(len(from))] }

func (c chance) one(in int) bool { return c.IntN(in) == 0 }

func (c chance) event(eventType, key string) json.RawMessage {
	sender := pick(c, stateUsers)
	content := fmt.Sprintf(`{"topic":"<%d>","name":"name %d","algorithm":"m.megolm.v1.aes-sha2"}`, c.IntN(9), c.IntN(9))
	if eventType == "m.room.member" {
		if c.one(3) {
			sender = id.UserID(key)
		}
		content = fmt.Sprintf(`{"membership":%q,"displayname":%q,"is_direct":%v,"reason":"r"}`,
			pick(c, []string{"join", "join", "invite", "leave", "ban", "knock", "own", ""}), pick(c, stateNames), c.one(2))
	}
	if c.one(12) {
		content = `"no object"`
	}
	evt := ""
	if !c.one(4) {
		evt = fmt.Sprintf(`"event_id":%q,`, pick(c, stateIDs))
	}
	return json.RawMessage(fmt.Sprintf(`{%s"type":%q,"state_key":%q, "sender":%q,"content":%s}`, evt, eventType, key, sender, content))
}

// change makes a Changes of a few things.
func (c chance) change() *state.Changes {
	out := &state.Changes{User: "@me:x"}
	if c.one(3) {
		out.SyncToken = fmt.Sprint("token <", c.IntN(100))
	}
	for range 1 + c.IntN(8) {
		room, user := pick(c, stateRooms), pick(c, stateUsers)
		key := pick(c, []string{"", "@bob:x", "@me:x", "@ann:x"})
		if c.one(2) {
			key = string(user)
		}
		switch c.IntN(17) {
		case 0, 1, 2:
			t := pick(c, stateTypes)
			if out.State == nil {
				out.State = map[id.RoomID]map[string]map[string]json.RawMessage{}
			}
			putEvent(out.State, room, t, key, c.event(t, key))
		case 3:
			t := pick(c, stateTypes)
			if out.Stripped == nil {
				out.Stripped = map[id.RoomID]map[string]map[string]json.RawMessage{}
			}
			putEvent(out.Stripped, room, t, key, c.event(t, key))
		case 4:
			out.AccountData = map[string]json.RawMessage{"m.direct": json.RawMessage(fmt.Sprintf(`{"type":"m.direct","content":{%q:[%q]}}`, user, room))}
		case 5:
			raw := fmt.Sprintf(`{"type":"m.tag","content":{"tags":{"m.favourite":{"order":0.%d}},"unread":%v}}`, c.IntN(9), c.one(2))
			if out.RoomAccountData == nil {
				out.RoomAccountData = map[id.RoomID]map[string]json.RawMessage{}
			}
			out.RoomAccountData[room] = map[string]json.RawMessage{pick(c, accountData[1:]): json.RawMessage(raw)}
		case 6:
			out.Presence = map[id.UserID]json.RawMessage{user: json.RawMessage(fmt.Sprintf(`{"sender":%q,"n":%d}`, user, c.IntN(99)))}
		case 7, 8:
			if out.RoomInfos[room] == nil {
				u := out.Update(room)
				u.State = state.RoomState(c.IntN(6))
				u.Recency = int64(c.IntN(5))
				u.Counts = &state.Counts{Notifications: int64(c.IntN(3)), Highlights: int64(c.IntN(3))}
				if c.one(3) {
					u.Heroes = []state.Hero{{User: user}}
				}
			}
		case 9:
			if out.Updates[room] == nil {
				info := state.NewRoomInfo(room, state.RoomState(1+c.IntN(5)))
				info.Recency, info.MarkedUnread = int64(c.IntN(5)), c.one(2)
				info.Extra = map[string]json.RawMessage{"later": json.RawMessage(`"<x>"`)}
				out.AddRoomInfo(info)
			}
		case 10:
			out.RemoveMembers = map[id.RoomID]state.Memberships{room: pick(c, allFilters)}
		case 11:
			out.DeleteProfile(room, user)
		case 12:
			out.AddProfile(room, user, state.Profile{EventID: pick(c, stateIDs), Content: event.MemberEventContent{Membership: "join", Displayname: pick(c, stateNames)}})
		case 13:
			r := state.Receipt{Event: pick(c, stateIDs), Type: pick(c, []event.ReceiptType{event.ReceiptTypeRead, event.ReceiptTypeReadPrivate}), Thread: pick(c, stateThreads), User: user, Timestamp: int64(c.IntN(3)) - 1}
			if c.one(3) {
				r.Extra = map[string]json.RawMessage{"own": json.RawMessage(`"<&>"`)}
			}
			out.AddReceipts(room, r)
		case 14:
			if out.Redactions == nil {
				out.Redactions = map[id.RoomID]map[id.EventID]json.RawMessage{}
			}
			out.Redactions[room] = map[id.EventID]json.RawMessage{pick(c, stateIDs): json.RawMessage(`{"type":"m.room.redaction","event_id":"$r"}`)}
		case 15:
			out.SetUsersWithName(room, pick(c, stateNames), stateUsers[:c.IntN(len(stateUsers))]...)
		case 16:
			u := state.ProfileUpdate{Drop: c.one(4)}
			if c.one(2) {
				u.Set = map[string]json.RawMessage{"displayname": json.RawMessage(`"<n>"`), "own": json.RawMessage(`null`)}
			} else {
				u.Remove = []string{"displayname", "own"}[:1+c.IntN(2)]
			}
			out.UpdateProfile(user, u)
		}
	}
	return out
}

func putEvent(in map[id.RoomID]map[string]map[string]json.RawMessage, room id.RoomID, t, key string, raw json.RawMessage) {
	if in[room] == nil {
		in[room] = map[string]map[string]json.RawMessage{}
	}
	if in[room][t] == nil {
		in[room][t] = map[string]json.RawMessage{}
	}
	in[room][t][key] = raw
}

// operation makes something to do. It can be done to several stores, and says what came of it.
func (c chance) operation() (what string, do func(stateStoreData) string) {
	room, txn, key := pick(c, stateRooms), pick(c, stateTxns), pick(c, stateValues)
	data := []byte(fmt.Sprintf(`"%d"`, c.IntN(1000)))
	custom := pick(c, [][]byte{nil, {0xff}, []byte("k")})
	reason := pick(c, []state.WedgeError{nil, &state.OtherWedge{Message: "m"}, &state.VerificationRequired{}})
	content := json.RawMessage(fmt.Sprintf(`{"n":"<%d>"}`, c.IntN(100)))
	var request state.Request = &state.EventRequest{Type: "m.room.message", Content: content}
	if c.one(3) {
		request = &state.RedactionRequest{Redacts: "$1", Reason: "r"}
	}
	var dependent state.Dependent = &state.ReactEvent{Key: fmt.Sprint(c.IntN(100))}
	if c.one(3) {
		dependent = &state.EditEvent{Type: "t", Content: content}
	}
	switch c.IntN(28) {
	case 0:
		return "SetValue", func(s stateStoreData) string { return said(s.SetValue(ctx, key, data)) }
	case 1:
		return "RemoveValue", func(s stateStoreData) string { return said(s.RemoveValue(ctx, key)) }
	case 2:
		return "SetCustomValue", func(s stateStoreData) string { return said(s.SetCustomValue(ctx, custom, data)) }
	case 3:
		return "SwapCustomValue", func(s stateStoreData) string {
			v, had, err := s.SwapCustomValue(ctx, custom, data)
			return said(err, string(v), had)
		}
	case 4:
		return "RemoveCustomValue", func(s stateStoreData) string {
			v, had, err := s.RemoveCustomValue(ctx, custom)
			return said(err, string(v), had)
		}
	case 5, 6, 7:
		r := state.QueuedRequest{TransactionID: txn, Request: request, Error: reason, Priority: c.IntN(3) - 1, CreatedAt: 1 + int64(c.IntN(9))}
		return "SaveRequest", func(s stateStoreData) string { return said(s.SaveRequest(ctx, room, r)) }
	case 8:
		return "UpdateRequest", func(s stateStoreData) string {
			updated, err := s.UpdateRequest(ctx, room, txn, request)
			return said(err, updated)
		}
	case 9:
		return "RemoveRequest", func(s stateStoreData) string {
			removed, err := s.RemoveRequest(ctx, room, txn)
			return said(err, removed)
		}
	case 10:
		return "SetRequestError", func(s stateStoreData) string { return said(s.SetRequestError(ctx, room, txn, reason)) }
	case 11, 12, 13:
		d := state.DependentRequest{TransactionID: txn, Parent: pick(c, stateTxns), Dependent: dependent, CreatedAt: 5}
		if c.one(3) {
			d.ParentKey = &state.SentEvent{EventID: "$0"}
		}
		return "SaveDependent", func(s stateStoreData) string { return said(s.SaveDependent(ctx, room, d)) }
	case 14:
		sent := &state.SentRedaction{EventID: "$5", Redacts: "$6"}
		return "MarkDependentsReady", func(s stateStoreData) string {
			n, err := s.MarkDependentsReady(ctx, room, txn, sent)
			return said(err, n)
		}
	case 15:
		return "UpdateDependent", func(s stateStoreData) string {
			updated, err := s.UpdateDependent(ctx, room, txn, dependent)
			return said(err, updated)
		}
	case 16:
		return "RemoveDependent", func(s stateStoreData) string {
			removed, err := s.RemoveDependent(ctx, room, txn)
			return said(err, removed)
		}
	case 17, 18:
		subs := make([]state.ThreadSubscription, 1+c.IntN(3))
		for i := range subs {
			subs[i] = state.ThreadSubscription{Room: room, Root: pick(c, stateIDs), Subscription: state.Subscription{
				Status: pick(c, []state.SubscriptionStatus{state.SubscribedAutomatically, state.SubscribedManually, state.Unsubscribed}),
				Stamp:  c.Uint64N(5), Stamped: c.one(2),
			}}
		}
		return "SaveSubscriptions", func(s stateStoreData) string { return said(s.SaveSubscriptions(ctx, subs)) }
	case 19:
		root := pick(c, stateIDs)
		return "RemoveSubscription", func(s stateStoreData) string { return said(s.RemoveSubscription(ctx, room, root)) }
	case 20:
		return "RemoveRoom", func(s stateStoreData) string { return said(s.RemoveRoom(ctx, room)) }
	default:
		change := c.change()
		return "SaveChanges", func(s stateStoreData) string { return said(s.SaveChanges(ctx, change)) }
	}
}

// said is what came of an operation: of errors only which one it is.
func said(err error, what ...any) string {
	for _, known := range []error{state.ErrDuplicate, state.ErrRedaction, state.ErrNotUTF8, state.ErrNotJSON} {
		if errors.Is(err, known) {
			return fmt.Sprint(known, what)
		}
	}
	return fmt.Sprint(err, what)
}
