package statetest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"

	"github.com/quiesce-go/quiesce/conformance"
	"github.com/quiesce-go/quiesce/conformance/internal/trial"
	"github.com/quiesce-go/quiesce/lifecycle"
	"github.com/quiesce-go/quiesce/matrixstores/memorystore"
	"github.com/quiesce-go/quiesce/matrixstores/state"
	"github.com/quiesce-go/quiesce/matrixstores/state/mautrixstate"
)

// hooks are what is wrong with a store: where one is set, it is called in the place of the method.
type hooks struct {
	change        func(s state.Store, c *state.Changes) // changes what SaveChanges is given
	saveChanges   func(ctx context.Context, s state.Store, c *state.Changes) error
	removeRoom    func(ctx context.Context, s state.Store, room id.RoomID) error
	value         func(data []byte, found bool) ([]byte, bool)
	setValue      func(key state.ValueKey) (state.ValueKey, bool)
	swap          func([]byte, bool) ([]byte, bool)
	removeCustom  func([]byte, bool) ([]byte, bool)
	setCustom     func() bool
	presences     func(users []id.UserID, all []json.RawMessage) []json.RawMessage
	stateEvent    func(t, key string) (string, string)
	rawEvent      func(e *state.StateEvent)
	stateEvents   func([]state.StateEvent) []state.StateEvent
	forKeys       func([]state.StateEvent) []state.StateEvent
	member        func(user id.UserID, m *state.Member) error
	filter        func(state.Memberships) state.Memberships
	page          func(state.Page, error) (state.Page, bool)
	roomFilter    func(state.RoomFilter) state.RoomFilter
	thread        func(state.ReceiptThread) state.ReceiptThread
	info          func(*state.RoomInfo) *state.RoomInfo
	infoContext   func(context.Context) context.Context
	infos         func([]*state.RoomInfo, error) ([]*state.RoomInfo, error)
	saveRequest   func(error) error
	updateRequest func(ctx context.Context, s state.Store, room id.RoomID, txn string)
	removeRequest func(ctx context.Context, s state.Store, room id.RoomID, txn string)
	requests      func([]state.QueuedRequest) []state.QueuedRequest
	waiting       func([]id.RoomID) []id.RoomID
	dependent     func(*state.DependentRequest)
	subscribe     func(ctx context.Context, s state.Store, all []state.ThreadSubscription) error
	unsubscribe   func() bool
	globals       func(users []id.UserID, all map[id.UserID]state.GlobalProfile)
	bytes         func() int64
	taken         func(bool) bool
	pause, resume func(ctx context.Context, s state.Store)
	encrypted     func(ctx context.Context, s state.Store, room id.RoomID) (bool, error)
}

// hooked is a store in memory with something wrong.
type hooked struct {
	state.Store
	h *hooks
}

func (s hooked) SaveChanges(ctx context.Context, c *state.Changes) error {
	if s.h.change != nil && c != nil {
		other := *c
		s.h.change(s.Store, &other)
		c = &other
	}
	if s.h.saveChanges != nil && c != nil {
		return s.h.saveChanges(ctx, s.Store, c)
	}
	return s.Store.SaveChanges(ctx, c)
}

func (s hooked) RemoveRoom(ctx context.Context, room id.RoomID) error {
	if s.h.removeRoom != nil {
		return s.h.removeRoom(ctx, s.Store, room)
	}
	return s.Store.RemoveRoom(ctx, room)
}

func (s hooked) Value(ctx context.Context, key state.ValueKey) ([]byte, bool, error) {
	data, found, err := s.Store.Value(ctx, key)
	if s.h.value != nil {
		data, found = s.h.value(data, found)
	}
	return data, found, err
}

func (s hooked) SetValue(ctx context.Context, key state.ValueKey, data []byte) error {
	if s.h.setValue != nil {
		other, do := s.h.setValue(key)
		if !do {
			return nil
		}
		key = other
	}
	return s.Store.SetValue(ctx, key, data)
}

func (s hooked) SwapCustomValue(ctx context.Context, key, value []byte) ([]byte, bool, error) {
	previous, had, err := s.Store.SwapCustomValue(ctx, key, value)
	if s.h.swap != nil {
		previous, had = s.h.swap(previous, had)
	}
	return previous, had, err
}

func (s hooked) RemoveCustomValue(ctx context.Context, key []byte) ([]byte, bool, error) {
	previous, had, err := s.Store.RemoveCustomValue(ctx, key)
	if s.h.removeCustom != nil {
		previous, had = s.h.removeCustom(previous, had)
	}
	return previous, had, err
}

func (s hooked) SetCustomValue(ctx context.Context, key, value []byte) error {
	if s.h.setCustom != nil && !s.h.setCustom() {
		return nil
	}
	return s.Store.SetCustomValue(ctx, key, value)
}

func (s hooked) Presences(ctx context.Context, users []id.UserID) ([]json.RawMessage, error) {
	all, err := s.Store.Presences(ctx, users)
	if s.h.presences != nil {
		all = s.h.presences(users, all)
	}
	return all, err
}

func (s hooked) StateEvent(ctx context.Context, room id.RoomID, t, key string) (state.StateEvent, bool, error) {
	if s.h.stateEvent != nil {
		t, key = s.h.stateEvent(t, key)
	}
	e, found, err := s.Store.StateEvent(ctx, room, t, key)
	if s.h.rawEvent != nil && found {
		s.h.rawEvent(&e)
	}
	return e, found, err
}

func (s hooked) StateEvents(ctx context.Context, room id.RoomID, t string) ([]state.StateEvent, error) {
	all, err := s.Store.StateEvents(ctx, room, t)
	if s.h.stateEvents != nil {
		all = s.h.stateEvents(all)
	}
	return all, err
}

func (s hooked) StateEventsForKeys(ctx context.Context, room id.RoomID, t string, keys []string) ([]state.StateEvent, error) {
	all, err := s.Store.StateEventsForKeys(ctx, room, t, keys)
	if s.h.forKeys != nil {
		all = s.h.forKeys(all)
	}
	return all, err
}

func (s hooked) Member(ctx context.Context, room id.RoomID, user id.UserID) (state.Member, bool, error) {
	m, found, err := s.Store.Member(ctx, room, user)
	if s.h.member != nil && err == nil {
		err = s.h.member(user, &m)
	}
	return m, found, err
}

func (s hooked) UserIDs(ctx context.Context, room id.RoomID, filter state.Memberships) ([]id.UserID, error) {
	if s.h.filter != nil {
		filter = s.h.filter(filter)
	}
	return s.Store.UserIDs(ctx, room, filter)
}

func (s hooked) RoomsOf(ctx context.Context, user id.UserID, filter state.Memberships) ([]id.RoomID, error) {
	if s.h.filter != nil {
		filter = s.h.filter(filter)
	}
	return s.Store.RoomsOf(ctx, user, filter)
}

func (s hooked) Members(ctx context.Context, room id.RoomID, filter state.Memberships, page state.Page) (state.MemberPage, error) {
	found, err := s.Store.Members(ctx, room, filter, page)
	if s.h.page != nil {
		if other, again := s.h.page(page, err); again {
			return s.Store.Members(ctx, room, filter, other)
		}
	}
	return found, err
}

func (s hooked) Rooms(ctx context.Context, filter state.RoomFilter, order state.Order, page state.Page) (state.RoomPage, error) {
	if s.h.roomFilter != nil {
		filter = s.h.roomFilter(filter)
	}
	return s.Store.Rooms(ctx, filter, order, page)
}

func (s hooked) UserReceipt(ctx context.Context, room id.RoomID, t event.ReceiptType, thread state.ReceiptThread, user id.UserID) (state.Receipt, bool, error) {
	if s.h.thread != nil {
		thread = s.h.thread(thread)
	}
	return s.Store.UserReceipt(ctx, room, t, thread, user)
}

func (s hooked) RoomInfo(ctx context.Context, room id.RoomID) (*state.RoomInfo, error) {
	info, err := s.Store.RoomInfo(ctx, room)
	if s.h.info != nil && info != nil {
		info = s.h.info(info)
	}
	return info, err
}

func (s hooked) IsEncrypted(ctx context.Context, room id.RoomID) (bool, error) {
	if s.h.encrypted != nil {
		return s.h.encrypted(ctx, s.Store, room)
	}
	return s.Store.IsEncrypted(ctx, room)
}

func (s hooked) RoomInfos(ctx context.Context) ([]*state.RoomInfo, error) {
	if s.h.infoContext != nil {
		ctx = s.h.infoContext(ctx)
	}
	all, err := s.Store.RoomInfos(ctx)
	if s.h.infos != nil {
		all, err = s.h.infos(all, err)
	}
	return all, err
}

func (s hooked) SaveRequest(ctx context.Context, room id.RoomID, r state.QueuedRequest) error {
	err := s.Store.SaveRequest(ctx, room, r)
	if s.h.saveRequest != nil {
		err = s.h.saveRequest(err)
	}
	return err
}

func (s hooked) UpdateRequest(ctx context.Context, room id.RoomID, txn string, r state.Request) (bool, error) {
	if s.h.updateRequest != nil {
		defer s.h.updateRequest(ctx, s.Store, room, txn)
	}
	return s.Store.UpdateRequest(ctx, room, txn, r)
}

func (s hooked) RemoveRequest(ctx context.Context, room id.RoomID, txn string) (bool, error) {
	if s.h.removeRequest != nil {
		s.h.removeRequest(ctx, s.Store, room, txn)
	}
	return s.Store.RemoveRequest(ctx, room, txn)
}

func (s hooked) Requests(ctx context.Context, room id.RoomID) ([]state.QueuedRequest, error) {
	all, err := s.Store.Requests(ctx, room)
	if s.h.requests != nil {
		all = s.h.requests(all)
	}
	return all, err
}

func (s hooked) RoomsWithRequests(ctx context.Context) ([]id.RoomID, error) {
	all, err := s.Store.RoomsWithRequests(ctx)
	if s.h.waiting != nil {
		all = s.h.waiting(all)
	}
	return all, err
}

func (s hooked) SaveDependent(ctx context.Context, room id.RoomID, r state.DependentRequest) error {
	if s.h.dependent != nil {
		s.h.dependent(&r)
	}
	return s.Store.SaveDependent(ctx, room, r)
}

func (s hooked) SaveSubscriptions(ctx context.Context, all []state.ThreadSubscription) error {
	if s.h.subscribe != nil {
		return s.h.subscribe(ctx, s.Store, all)
	}
	return s.Store.SaveSubscriptions(ctx, all)
}

func (s hooked) RemoveSubscription(ctx context.Context, room id.RoomID, root id.EventID) error {
	if s.h.unsubscribe != nil && !s.h.unsubscribe() {
		return nil
	}
	return s.Store.RemoveSubscription(ctx, room, root)
}

func (s hooked) GlobalProfiles(ctx context.Context, users []id.UserID) (map[id.UserID]state.GlobalProfile, error) {
	all, err := s.Store.GlobalProfiles(ctx, users)
	if s.h.globals != nil && err == nil {
		s.h.globals(users, all)
	}
	return all, err
}

func (s hooked) Bytes(ctx context.Context) (int64, error) {
	n, err := s.Store.Bytes(ctx)
	if s.h.bytes != nil {
		n = s.h.bytes()
	}
	return n, err
}

func (s hooked) TakeLease(ctx context.Context, key, holder string, d time.Duration) (uint64, bool, error) {
	generation, taken, err := s.Store.TakeLease(ctx, key, holder, d)
	if s.h.taken != nil {
		taken = s.h.taken(taken)
	}
	return generation, taken, err
}

func (s hooked) Pause(ctx context.Context) error {
	if s.h.pause != nil {
		s.h.pause(ctx, s.Store)
	}
	return s.Store.Pause(ctx)
}

func (s hooked) Resume(ctx context.Context) error {
	err := s.Store.Resume(ctx)
	if s.h.resume != nil && err == nil {
		s.h.resume(ctx, s.Store)
	}
	return err
}

// filed writes something that looks like a sealed file, and makes rooms again when it is opened again.
type filed struct {
	state.Store
	log  *[]*state.Changes
	path string
	also string // a file besides that has the token in clear
}

func (s filed) SaveChanges(ctx context.Context, c *state.Changes) error {
	*s.log = append(*s.log, c)
	if s.also != "" && (c.SyncToken != "" || filepath.Base(s.also) == "unnamed") {
		if err := os.WriteFile(s.also, []byte(c.SyncToken), 0o600); err != nil {
			return err
		}
	}
	return errors.Join(s.Store.SaveChanges(ctx, c), os.WriteFile(s.path, bytes.Repeat([]byte{0x5a}, 20_000), 0o600))
}

func (s filed) RemoveRoom(ctx context.Context, room id.RoomID) error {
	for _, c := range *s.log {
		delete(c.Updates, room)
	}
	return s.Store.RemoveRoom(ctx, room)
}

// harness is of a store in memory with something wrong, or with nothing.
func (f *fault) harness() *Harness {
	hooks := &hooks{}
	if f.wrong != nil {
		f.wrong(hooks)
	}
	logs := map[string]*[]*state.Changes{}
	file := func(dir string) string { return filepath.Join(dir, "file") }
	h := &Harness{
		Brief: true,
		Limit: time.Minute,
		Open: func(ctx context.Context, dir string, o Options) (state.Store, error) {
			s, err := memorystore.OpenState(ctx, memorystore.StateConfig{Config: memorystore.Config{
				Strict: !f.noGate, Clock: o.Clock, Timeout: o.Timeout, Grace: o.Grace, WhenPaused: o.WhenPaused,
			}})
			if err != nil || f.files == "" {
				return hooked{s, hooks}, err
			}
			if logs[dir] == nil {
				logs[dir] = &[]*state.Changes{}
			}
			for _, c := range *logs[dir] {
				if err := s.SaveChanges(ctx, c); err != nil {
					return nil, err
				}
			}
			also := map[string]string{"clear": file(dir), "unnamed": filepath.Join(dir, "unnamed")}[f.files]
			if f.files == "clear" {
				return filed{hooked{s, hooks}, logs[dir], filepath.Join(dir, "other"), also}, nil
			}
			return filed{hooked{s, hooks}, logs[dir], file(dir), also}, nil
		},
		Without: map[conformance.Capability]string{},
	}
	if f.noGate {
		h.Without[conformance.Gate] = "memory"
	}
	if f.files == "" {
		h.Without[conformance.Files], h.Without[conformance.Encryption] = "memory", "memory"
	} else {
		h.Files = func(dir string) []string { return []string{file(dir), filepath.Join(dir, "other")} }
	}
	if f.bridge != nil {
		h.bridge = func(s state.Store, user id.UserID, o mautrixstate.Options) bridge {
			if f.name == "tells nobody" {
				o.Observe = nil
			}
			return f.bridge(s, mautrixstate.New(s, user, o))
		}
	}
	return h
}

// The bridges with something wrong.
type (
	everyMember struct {
		bridge
		s state.Store
	}
	clearsNone  struct{ bridge }
	noJoinRules struct{ bridge }
	sharesAll   struct {
		bridge
		s state.Store
	}
	findsHimself struct{ bridge }
	loadsNothing struct {
		bridge
		loaded map[string]bool
	}
	losesFilter struct{ bridge }
	neverWaits  struct {
		bridge
		s state.Store
	}
)

func (b everyMember) GetRoomJoinedOrInvitedMembers(ctx context.Context, room id.RoomID) ([]id.UserID, error) {
	return b.s.UserIDs(ctx, room, 0)
}

func (b clearsNone) ClearCachedMembers(ctx context.Context, room id.RoomID, only ...event.Membership) error {
	if len(only) == 0 {
		return nil
	}
	return b.bridge.ClearCachedMembers(ctx, room, only...)
}

func (b noJoinRules) SetJoinRules(context.Context, id.RoomID, *event.JoinRulesEventContent) error {
	var rules map[id.RoomID]bool
	rules[""] = true //lint:ignore SA5000 as mautrix's own store does
	return nil
}

func (b sharesAll) FindSharedRooms(ctx context.Context, user id.UserID) ([]id.RoomID, error) {
	return b.s.RoomsOf(ctx, user, state.Active)
}

func (b findsHimself) IsConfusableName(ctx context.Context, room id.RoomID, _ id.UserID, name string) ([]id.UserID, error) {
	return b.bridge.IsConfusableName(ctx, room, "", name)
}

func (b loadsNothing) LoadNextBatch(ctx context.Context, user id.UserID) (string, error) {
	token, err := b.bridge.LoadNextBatch(ctx, user)
	if !b.loaded[token] {
		b.loaded[token] = true
		return "", err
	}
	return token, err
}

func (b losesFilter) SaveFilterID(context.Context, id.UserID, string) error { return nil }

func (b neverWaits) GetMember(ctx context.Context, room id.RoomID, user id.UserID) (*event.MemberEventContent, error) {
	m, _, err := b.s.Member(lifecycle.WithPolicy(ctx, lifecycle.Fail), room, user)
	return m.Content(), err
}

type fault struct {
	name, by string
	wrong    func(*hooks)
	bridge   func(state.Store, bridge) bridge
	noGate   bool
	files    string // "clear": it writes in clear; "unnamed": into a file that nobody knows
}

func changing(fn func(c *state.Changes)) func(*hooks) {
	return func(h *hooks) { h.change = func(_ state.Store, c *state.Changes) { fn(c) } }
}

// reversed is a list from its end.
func reversed[T any](all []T) []T {
	all = slices.Clone(all)
	slices.Reverse(all)
	return all
}

// flaky says that a pause was in the way of some of what was done.
func flaky(h *hooks) {
	var mu sync.Mutex
	n := 0
	h.saveRequest = func(err error) error {
		mu.Lock()
		defer mu.Unlock()
		if n++; err == nil && n%5 == 0 {
			return lifecycle.ErrInterrupted
		}
		return err
	}
}

// faults are what proves that the suite finds faults: each is a store in memory, or an adapter to mautrix, with one thing wrong, and the
// case that is meant to find that.
var faults = []fault{
	{name: "keeps eleven keys", by: "typed-values", wrong: func(h *hooks) {
		h.setValue = func(key state.ValueKey) (state.ValueKey, bool) {
			return key, key != state.CatchUpTokens().ValueKey
		}
	}},
	{name: "loses the token", by: "the-sync-token", wrong: changing(func(c *state.Changes) { c.SyncToken = "" })},
	{name: "takes null for nothing", by: "no-well-known-file", wrong: func(h *hooks) {
		h.value = func(data []byte, found bool) ([]byte, bool) { return data, found && !contains(data, `"value":null`) }
	}},
	{name: "takes a thread's draft for the room's", by: "keys-that-look-alike", wrong: func(h *hooks) {
		h.setValue = func(key state.ValueKey) (state.ValueKey, bool) {
			if key.String() == "composer draft" {
				key = state.Draft(key.Room()).ValueKey
			}
			return key, true
		}
	}},
	{name: "returns no previous value", by: "custom-values", wrong: func(h *hooks) { h.swap = func([]byte, bool) ([]byte, bool) { return nil, false } }},
	{name: "shares what it gives out", by: "values-belong-to-the-caller", wrong: func(h *hooks) {
		shared := map[id.RoomID]*state.RoomInfo{}
		h.info = func(info *state.RoomInfo) *state.RoomInfo {
			if shared[info.ID] == nil {
				shared[info.ID] = info
			}
			return shared[info.ID]
		}
	}},
	{name: "loses receipts", by: "a-whole-response", wrong: changing(func(c *state.Changes) { c.Receipts = nil })},
	{name: "loses account data", by: "a-whole-response", wrong: changing(func(c *state.Changes) { c.AccountData = nil })},
	{name: "loses presence", by: "presence", wrong: changing(func(c *state.Changes) { c.Presence = nil })},
	{name: "loses state", by: "state-events", wrong: changing(func(c *state.Changes) { c.State = nil })},
	{name: "loses stripped state", by: "stripped-and-not", wrong: changing(func(c *state.Changes) { c.Stripped = nil })},
	{name: "loses rooms", by: "room-infos", wrong: changing(func(c *state.Changes) { c.RoomInfos = nil })},
	{name: "loses rooms' account data", by: "account-data", wrong: changing(func(c *state.Changes) { c.RoomAccountData = nil })},
	{name: "answers in another order", by: "presence", wrong: func(h *hooks) {
		h.presences = func(_ []id.UserID, all []json.RawMessage) []json.RawMessage { return reversed(all) }
	}},
	{name: "answers for keys in another order", by: "state-events", wrong: func(h *hooks) { h.forKeys = reversed[state.StateEvent] }},
	{name: "returns stripped events alone", by: "stripped-and-not", wrong: func(h *hooks) {
		h.stateEvents = func(all []state.StateEvent) []state.StateEvent {
			if is := func(e state.StateEvent) bool { return e.Stripped }; slices.ContainsFunc(all, is) {
				return slices.DeleteFunc(all, func(e state.StateEvent) bool { return !e.Stripped })
			}
			return all
		}
	}},
	{name: "redacts nothing", by: "redactions", wrong: changing(func(c *state.Changes) { c.Redactions = nil })},
	{name: "stores the token of what it refuses", by: "all-or-nothing", wrong: func(h *hooks) {
		h.saveChanges = func(ctx context.Context, s state.Store, c *state.Changes) error {
			err := s.SaveChanges(ctx, c)
			if err != nil {
				err = errors.Join(err, s.SaveChanges(ctx, &state.Changes{SyncToken: "after"}))
			}
			return err
		}
	}},
	{name: "clears what is absent", by: "an-empty-change", wrong: func(h *hooks) {
		h.saveChanges = func(ctx context.Context, s state.Store, c *state.Changes) error {
			if c.SyncToken == "" {
				return errors.Join(s.RemoveRoom(ctx, "!a:x"), s.SaveChanges(ctx, c))
			}
			return s.SaveChanges(ctx, c)
		}
	}},
	{name: "filters nobody", by: "members", wrong: func(h *hooks) { h.filter = func(state.Memberships) state.Memberships { return 0 } }},
	{name: "tells no stripped members", by: "stripped-members", wrong: func(h *hooks) {
		h.member = func(_ id.UserID, m *state.Member) error { m.Stripped = false; return nil }
	}},
	{name: "takes any cursor", by: "pages-of-members", wrong: func(h *hooks) {
		h.page = func(page state.Page, err error) (state.Page, bool) {
			return state.Page{Limit: page.Limit}, errors.Is(err, state.ErrCursor)
		}
	}},
	{name: "returns all rooms of a user", by: "rooms-of-a-user", wrong: func(h *hooks) { h.filter = func(state.Memberships) state.Memberships { return 0 } }},
	{name: "forgets no members", by: "members-fetched-anew", wrong: changing(func(c *state.Changes) { c.RemoveMembers = nil })},
	{name: "stores profiles only with an event", by: "profiles", wrong: changing(func(c *state.Changes) {
		c.Profiles = maps.Clone(c.Profiles)
		for room, all := range c.Profiles {
			c.Profiles[room] = maps.Clone(all)
			for user := range all {
				if c.State[room]["m.room.member"][string(user)] == nil {
					delete(c.Profiles[room], user)
				}
			}
		}
	})},
	{name: "deletes no profiles", by: "profiles-are-deleted-first", wrong: changing(func(c *state.Changes) { c.DeleteProfiles = nil })},
	{name: "removes no names", by: "names", wrong: changing(func(c *state.Changes) {
		c.AmbiguityMaps = maps.Clone(c.AmbiguityMaps)
		for room, all := range c.AmbiguityMaps {
			c.AmbiguityMaps[room] = maps.Clone(all)
			for name, users := range all {
				if len(users) == 0 {
					delete(c.AmbiguityMaps[room], name)
				}
			}
		}
	})},
	{name: "takes all threads for one", by: "receipts", wrong: func(h *hooks) {
		h.thread = func(state.ReceiptThread) state.ReceiptThread { return state.Unthreaded }
	}},
	{name: "has rooms in another order", by: "room-infos", wrong: func(h *hooks) {
		h.infos = func(all []*state.RoomInfo, err error) ([]*state.RoomInfo, error) { return reversed(all), err }
	}},
	{name: "follows no account data", by: "rooms-are-current", wrong: changing(func(c *state.Changes) { c.AccountData, c.RoomAccountData = nil, nil })},
	{name: "forgets that a room is encrypted with its state", by: "encrypted-rooms", wrong: func(h *hooks) {
		h.encrypted = func(ctx context.Context, s state.Store, room id.RoomID) (bool, error) {
			e, _, err := s.StateEvent(ctx, room, "m.room.encryption", "")
			return e.IsEncryption(), err
		}
	}},
	{name: "knows of no room before it is told of it", by: "encrypted-rooms", wrong: func(h *hooks) {
		h.encrypted = func(ctx context.Context, s state.Store, room id.RoomID) (bool, error) {
			info, err := s.RoomInfo(ctx, room)
			return info.IsEncrypted(), err
		}
	}},
	{name: "lets all rooms through", by: "lists-of-rooms", wrong: func(h *hooks) {
		h.roomFilter = func(f state.RoomFilter) state.RoomFilter { f.Without = 0; return f }
	}},
	{name: "keeps the threads of a room", by: "remove-a-room", wrong: func(h *hooks) {
		h.removeRoom = func(ctx context.Context, s state.Store, room id.RoomID) error {
			sub, found, err := s.Subscription(ctx, room, "$root")
			if err == nil {
				err = s.RemoveRoom(ctx, room)
			}
			if found {
				err = errors.Join(err, s.SaveSubscriptions(ctx, []state.ThreadSubscription{{Room: room, Root: "$root", Subscription: sub}}))
			}
			return err
		}
	}},
	{name: "makes the queue that it is asked for", by: "asking-creates-nothing", wrong: func(h *hooks) {
		var asked []id.RoomID
		h.updateRequest = func(_ context.Context, _ state.Store, room id.RoomID, _ string) { asked = append(asked, room) }
		h.waiting = func(all []id.RoomID) []id.RoomID { return append(all, asked...) }
	}},
	{name: "takes no room", by: "size-and-compact", wrong: func(h *hooks) { h.bytes = func() int64 { return 7 } }},
	{name: "keeps the error of what was replaced", by: "send-queue", wrong: func(h *hooks) {
		h.updateRequest = func(ctx context.Context, s state.Store, room id.RoomID, txn string) {
			_ = s.SetRequestError(ctx, room, txn, &state.MissingMedia{})
		}
	}},
	{name: "sends the last first", by: "priorities", wrong: func(h *hooks) { h.requests = reversed[state.QueuedRequest] }},
	{name: "takes a request twice", by: "a-transaction-id-twice", wrong: func(h *hooks) { h.saveRequest = func(error) error { return nil } }},
	{name: "removes what depends", by: "dependents", wrong: func(h *hooks) {
		h.removeRequest = func(ctx context.Context, s state.Store, room id.RoomID, txn string) {
			all, _ := s.Dependents(ctx, room)
			for _, d := range all {
				if d.Parent == txn {
					_, _ = s.RemoveDependent(ctx, room, d.TransactionID)
				}
			}
		}
	}},
	{name: "loses what was sent", by: "kinds-of-requests", wrong: func(h *hooks) { h.dependent = func(r *state.DependentRequest) { r.ParentKey = nil } }},
	{name: "removes no subscription", by: "thread-subscriptions", wrong: func(h *hooks) { h.unsubscribe = func() bool { return false } }},
	{name: "takes older stamps", by: "newer-bump-stamps", wrong: func(h *hooks) {
		h.subscribe = func(ctx context.Context, s state.Store, all []state.ThreadSubscription) error {
			for _, t := range all {
				if err := s.RemoveSubscription(ctx, t.Room, t.Root); err != nil {
					return err
				}
			}
			return s.SaveSubscriptions(ctx, all)
		}
	}},
	{name: "removes no fields", by: "global-profiles", wrong: changing(func(c *state.Changes) {
		c.GlobalProfiles = maps.Clone(c.GlobalProfiles)
		for user, u := range c.GlobalProfiles {
			u.Remove = nil
			c.GlobalProfiles[user] = u
		}
	})},
	{name: "drops nothing", by: "dropped-profiles", wrong: changing(func(c *state.Changes) {
		c.GlobalProfiles = maps.Clone(c.GlobalProfiles)
		for user, u := range c.GlobalProfiles {
			u.Drop = false
			c.GlobalProfiles[user] = u
		}
	})},
	{name: "knows everybody", by: "many-global-profiles", wrong: func(h *hooks) {
		h.globals = func(users []id.UserID, all map[id.UserID]state.GlobalProfile) {
			for _, user := range users {
				if _, is := all[user]; !is {
					all[user] = state.GlobalProfile{}
				}
			}
		}
	}},
	{name: "ends names at NUL", by: "names-in-every-script", wrong: func(h *hooks) {
		h.stateEvent = func(t, key string) (string, string) {
			t, _, _ = strings.Cut(t, "\x00")
			key, _, _ = strings.Cut(key, "\x00")
			return t, key
		}
	}},
	{name: "stores what comes before the fault", by: "what-cannot-be-stored", wrong: func(h *hooks) {
		h.subscribe = func(ctx context.Context, s state.Store, all []state.ThreadSubscription) error {
			for _, t := range all {
				if err := s.SaveSubscriptions(ctx, []state.ThreadSubscription{t}); err != nil {
					return err
				}
			}
			return nil
		}
	}},
	{name: "fails for nobody", by: "asking-with-bad-names", wrong: func(h *hooks) {
		h.member = func(user id.UserID, _ *state.Member) error {
			if user == "" {
				return state.ErrNoUserID
			}
			return nil
		}
	}},
	{name: "writes JSON anew", by: "odd-events", wrong: func(h *hooks) {
		h.rawEvent = func(e *state.StateEvent) {
			var b bytes.Buffer
			_ = json.Compact(&b, e.Raw)
			e.Raw = b.Bytes()
		}
	}},
	{name: "asks for 150 at most", by: "many-keys", wrong: func(h *hooks) {
		h.presences = func(users []id.UserID, all []json.RawMessage) []json.RawMessage {
			if len(users) > 150 {
				return all[:len(all)/2]
			}
			return all
		}
	}},
	{name: "loses a room at Resume", by: "everything-survives", wrong: func(h *hooks) {
		h.resume = func(ctx context.Context, s state.Store) { _ = s.RemoveRoom(ctx, "!a:x") }
	}},
	{name: "answers while paused", by: "refused-while-paused", wrong: func(h *hooks) {
		h.infos = func(all []*state.RoomInfo, err error) ([]*state.RoomInfo, error) {
			if errors.Is(err, lifecycle.ErrPaused) {
				err = nil
			}
			return all, err
		}
	}},
	{name: "does not wait", by: "waits-for-resume", wrong: func(h *hooks) {
		h.infoContext = func(ctx context.Context) context.Context { return lifecycle.WithPolicy(ctx, lifecycle.Fail) }
	}},
	{name: "loses what comes while paused", by: "a-pause-that-changes-nothing", noGate: true, wrong: func(h *hooks) {
		paused := false
		h.pause = func(context.Context, state.Store) { paused = true }
		h.setCustom = func() bool { return !paused }
	}},
	{name: "answers after Close", by: "closed-for-good", wrong: func(h *hooks) {
		h.infos = func(all []*state.RoomInfo, err error) ([]*state.RoomInfo, error) {
			if errors.Is(err, lifecycle.ErrClosed) {
				err = nil
			}
			return all, err
		}
	}},
	{name: "heeds no context", by: "contexts-that-have-ended", wrong: func(h *hooks) { h.infoContext = context.WithoutCancel }},
	{name: "gives everybody the lease", by: "leases", wrong: func(h *hooks) { h.taken = func(bool) bool { return true } }},
	{name: "stores room by room", by: "changes-one-after-another", wrong: func(h *hooks) {
		h.saveChanges = func(ctx context.Context, s state.Store, c *state.Changes) error {
			if len(c.State) < 2 {
				return s.SaveChanges(ctx, c)
			}
			first := *c
			first.State = map[id.RoomID]map[string]map[string]json.RawMessage{kitchen: c.State[kitchen]}
			return errors.Join(s.SaveChanges(ctx, &first), s.SaveChanges(ctx, c))
		}
	}},
	{name: "removes room and profile one after another", by: "removals-one-after-another", wrong: func(h *hooks) {
		h.removeRoom = func(ctx context.Context, s state.Store, room id.RoomID) error {
			p, found, err := s.Profile(ctx, room, alice)
			err = errors.Join(err, s.RemoveRoom(ctx, room))
			if found {
				c := &state.Changes{}
				c.AddProfile(room, alice, p)
				err = errors.Join(err, s.SaveChanges(ctx, c))
			}
			return err
		}
	}},
	{name: "removes what is not there", by: "any-operations", wrong: func(h *hooks) {
		h.removeCustom = func(previous []byte, _ bool) ([]byte, bool) { return previous, true }
	}},
	{name: "says that a pause was in the way", by: "pauses-at-any-moment", wrong: flaky},
	{name: "says that a pause was in the way", by: "waiting-through-pauses", wrong: flaky},
	{name: "stores the token by itself", by: "an-interrupted-change", wrong: func(h *hooks) {
		h.saveChanges = func(ctx context.Context, s state.Store, c *state.Changes) error {
			if err := s.SaveChanges(ctx, &state.Changes{SyncToken: c.SyncToken}); err != nil {
				return err
			}
			return s.SaveChanges(ctx, c)
		}
	}},
	{name: "writes in clear", by: "nothing-in-clear", files: "clear"},
	{name: "writes where nobody looks", by: "files-are-named", files: "unnamed"},

	{name: "returns those who left", by: "mautrix-members", bridge: func(s state.Store, b bridge) bridge { return everyMember{b, s} }},
	{name: "clears nobody", by: "mautrix-clearing", bridge: func(_ state.Store, b bridge) bridge { return clearsNone{b} }},
	{name: "panics at join rules", by: "mautrix-rooms", bridge: func(_ state.Store, b bridge) bridge { return noJoinRules{b} }},
	{name: "shares plain rooms", by: "mautrix-shared-rooms", bridge: func(s state.Store, b bridge) bridge { return sharesAll{b, s} }},
	{name: "finds who asks", by: "mautrix-confusable-names", bridge: func(_ state.Store, b bridge) bridge { return findsHimself{b} }},
	{name: "loads nothing at first", by: "mautrix-sync", bridge: func(_ state.Store, b bridge) bridge { return loadsNothing{b, map[string]bool{}} }},
	{name: "loses the filter", by: "mautrix-tokens-of-many", bridge: func(_ state.Store, b bridge) bridge { return losesFilter{b} }},
	{name: "tells nobody", by: "mautrix-without-an-error", bridge: func(_ state.Store, b bridge) bridge { return b }},
	{name: "never waits", by: "mautrix-while-paused", bridge: func(s state.Store, b bridge) bridge { return neverWaits{b, s} }},
}

// TestEveryBrokenStoreIsCaught: the case that is meant for a fault finds it, and every case finds one.
func TestEveryBrokenStoreIsCaught(t *testing.T) {
	for _, f := range faults {
		t.Run(f.by+"/"+strings.ReplaceAll(f.name, " ", "-"), func(t *testing.T) {
			i := slices.IndexFunc(cases, func(c Case) bool { return c.Name == f.by })
			if i < 0 {
				t.Fatalf("there is no case %q", f.by)
			}
			r := trial.Search(30*time.Second, func() *trial.Result { return runCase(t.Context(), &cases[i], f.harness(), t.TempDir) })
			if !r.Found() {
				t.Errorf("the case %q has found nothing in a store that %s", f.by, f.name)
			}
		})
	}
	for _, c := range cases {
		if !slices.ContainsFunc(faults, func(f fault) bool { return f.by == c.Name }) {
			t.Errorf("no fault proves that the case %q finds anything", c.Name)
		}
	}
}

// TestOfAWholeStore: what has no fault passes, so that what is found is the fault.
func TestOfAWholeStore(t *testing.T) {
	for _, f := range []fault{{}, {files: "sealed"}} {
		for _, c := range cases {
			h := f.harness()
			if h.lacks(c.Needs) != "" || !c.fits(h) || f.files != "" && !slices.Contains(c.Needs, conformance.Files) {
				continue
			}
			for _, found := range runCase(t.Context(), &c, h, t.TempDir).Findings {
				t.Error(found)
			}
		}
	}
}
