package state

import (
	"encoding/json"

	"maunium.net/go/mautrix/id"
)

// What is stored must come back as it was, from every store. What cannot is refused before
// anything is written, with its place.

// Check returns why it cannot be stored, as a *ChangesError, or nil. SaveChanges calls it before anything else.
func (c *Changes) Check() error {
	if err := checkText(string(c.User), c.SyncToken); err != nil {
		return &ChangesError{Field: "User, SyncToken", Err: err}
	}
	check := checker{}
	for eventType, raw := range c.AccountData {
		check.event("AccountData", "", eventType, eventType, raw)
	}
	for room, events := range c.RoomAccountData {
		check.room("RoomAccountData", room)
		for eventType, raw := range events {
			check.event("RoomAccountData", room, eventType, eventType, raw)
		}
	}
	for user, raw := range c.Presence {
		check.user("Presence", "", user)
		check.json("Presence", "", string(user), raw)
	}
	for room, info := range c.RoomInfos {
		check.that("RoomInfos", room, "", info.Check())
		if info != nil && info.ID != room || c.Updates[room] != nil {
			check.that("RoomInfos", room, "", ErrRoomInfo)
		}
	}
	for room, u := range c.Updates {
		check.room("Updates", room)
		check.that("Updates", room, "", u.check())
	}
	for room := range c.RemoveMembers {
		check.room("RemoveMembers", room)
	}
	for room, users := range c.DeleteProfiles {
		check.room("DeleteProfiles", room)
		for _, user := range users {
			check.user("DeleteProfiles", room, user)
		}
	}
	check.state("State", c.State)
	check.state("Stripped", c.Stripped)
	for room, profiles := range c.Profiles {
		check.room("Profiles", room)
		for user, p := range profiles {
			check.user("Profiles", room, user)
			check.that("Profiles", room, string(user), checkAllText(p))
		}
	}
	for room, receipts := range c.Receipts {
		check.room("Receipts", room)
		for i := range receipts {
			check.that("Receipts", room, string(receipts[i].User), receipts[i].check())
		}
	}
	for room, redactions := range c.Redactions {
		check.room("Redactions", room)
		for redacts, raw := range redactions {
			if redacts == "" {
				check.that("Redactions", room, "", ErrNoEventID)
			}
			check.that("Redactions", room, string(redacts), checkText(string(redacts)))
			check.json("Redactions", room, string(redacts), raw)
		}
	}
	for room, names := range c.AmbiguityMaps {
		check.room("AmbiguityMaps", room)
		for name, users := range names {
			check.that("AmbiguityMaps", room, name, checkText(name))
			for _, user := range users {
				check.user("AmbiguityMaps", room, user)
			}
		}
	}
	for user, u := range c.GlobalProfiles {
		check.user("GlobalProfiles", "", user)
		check.that("GlobalProfiles", "", string(user), u.check())
	}
	return check.err()
}

// check returns why an update cannot be stored.
func (u *RoomUpdate) check() error {
	switch {
	case u == nil:
		return ErrRoomInfo
	case u.State > Banned, u.Synced > SyncedFully:
		return ErrRoomInfo
	case u.Latest != nil && u.Latest.Raw != nil && !json.Valid(u.Latest.Raw):
		return ErrNotJSON
	}
	return checkAllText(u)
}

// checker keeps the first thing that is wrong.
type checker struct{ first *ChangesError }

func (c *checker) err() error {
	if c.first == nil {
		return nil
	}
	return c.first
}

func (c *checker) that(field string, room id.RoomID, key string, err error) {
	if err != nil && c.first == nil {
		c.first = &ChangesError{Field: field, Room: room, Key: key, Err: err}
	}
}

func (c *checker) room(field string, room id.RoomID) { c.that(field, room, "", checkRoom(room)) }

func (c *checker) user(field string, room id.RoomID, user id.UserID) {
	err := checkText(string(user))
	if user == "" {
		err = ErrNoUserID
	}
	c.that(field, room, string(user), err)
}

func (c *checker) json(field string, room id.RoomID, key string, raw json.RawMessage) {
	c.that(field, room, key, checkObject(raw))
}

func (c *checker) event(field string, room id.RoomID, key, eventType string, raw json.RawMessage) {
	if eventType == "" {
		c.that(field, room, key, ErrNoEventType)
	}
	c.that(field, room, key, checkText(eventType, key))
	c.json(field, room, key, raw)
}

func (c *checker) state(field string, state map[id.RoomID]map[string]map[string]json.RawMessage) {
	for room, types := range state {
		c.room(field, room)
		for eventType, keys := range types {
			for key, raw := range keys {
				c.event(field, room, key, eventType, raw)
			}
		}
	}
}
