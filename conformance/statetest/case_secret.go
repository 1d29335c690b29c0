package statetest

// Nothing that a user, a server or a client has written can be read in the files of an encrypted store.

import (
	"encoding/json"
	"time"

	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"

	"github.com/quiesce-go/quiesce/conformance"
	"github.com/quiesce-go/quiesce/conformance/internal/trial"
	"github.com/quiesce-go/quiesce/matrixstores/media"
	"github.com/quiesce-go/quiesce/matrixstores/state"
)

var secretCases = []Case{
	{
		Name:    "nothing-in-clear",
		Promise: "no identifier, event, name, text or value can be read in the files of an encrypted store, whichever way it came in: not while it is open, not while it is paused, not after Close",
		Origins: from("contract"), Needs: needs(conformance.Files, conformance.Encryption), run: caseSecret,
	},
	{
		Name:    "files-are-named",
		Promise: "every file that the store makes in its directory is one that Files names",
		Origins: from("contract"), Needs: needs(conformance.Files), run: caseFilesNamed,
	},
}

// marked stores a marker in every place that there is.
func marked(s *subject, mark func(place string) string) {
	p := s.p
	content := func(place string) json.RawMessage { return raw(`{"body":%q}`, mark(place)) }
	room, user := id.RoomID(mark("room")), id.UserID(mark("user"))
	s.save(func(c *state.Changes) {
		c.SyncToken = mark("token")
		c.AccountData = fieldsOf{mark("type of account data"): content("account data"), "m.direct": raw(`{"content":{%q:[%q]}}`, mark("direct user"), room)}
		c.RoomAccountData = map[id.RoomID]fieldsOf{room: {mark("type of room's account data"): content("room's account data")}}
		c.Presence = map[id.UserID]json.RawMessage{user: content("presence")}
		u := c.Update(room)
		u.State, u.PrevBatch, u.Heroes = state.Joined, mark("prev batch"), []state.Hero{{User: id.UserID(mark("hero")), Name: mark("hero's name")}}
		u.Latest = &state.LatestEvent{Kind: state.LatestRemote, EventID: id.EventID(mark("latest event")), Sender: user, Raw: content("latest")}
		u.Read = &state.ReadSummary{LatestActive: id.EventID(mark("read event"))}
		whole := state.NewRoomInfo(id.RoomID(mark("whole room")), state.Joined)
		whole.Name, whole.DisplayName = mark("name of a whole room"), state.DisplayName{Kind: state.NameGiven, Name: mark("display name of a room")}
		whole.Extra = fieldsOf{mark("unknown field"): content("unknown")}
		c.AddRoomInfo(whole)
		add(c, room, stateOf(id.EventID(mark("event")), mark("type of a state event"), mark("state key"), user, string(content("state"))), memberOf(user, "join", mark("member's name")),
			stateOf(id.EventID(mark("topic event")), "m.room.topic", "", user, `{"topic":"`+mark("topic")+`"}`))
		addStripped(c, id.RoomID(mark("stripped room")), stateOf("", mark("stripped type"), mark("stripped key"), user, string(content("stripped"))))
		c.AddProfile(room, user, profileNamed(mark("profile")))
		c.AddReceipts(room, state.Receipt{Event: id.EventID(mark("receipt's event")), Type: event.ReceiptType(mark("receipt's type")), Thread: state.Thread(id.EventID(mark("receipt's thread"))), User: id.UserID(mark("receipt's user"))})
		c.Redactions = map[id.RoomID]map[id.EventID]json.RawMessage{room: {id.EventID(mark("redacted event")): content("redaction")}}
		c.SetUsersWithName(room, mark("given name"), id.UserID(mark("user with a given name")))
		c.UpdateProfile(user, state.ProfileUpdate{Set: fieldsOf{mark("field"): content("global profile")}})
	})
	txn := mark("transaction")
	p.Must("SaveRequest", s.SaveRequest(p.Ctx, room, state.QueuedRequest{TransactionID: txn, Request: &state.EventRequest{Type: mark("request's type"), Content: content("request")}, Error: &state.OtherWedge{Message: mark("wedge")}}))
	p.Must("SaveRequest", s.SaveRequest(p.Ctx, id.RoomID(mark("room of an upload")), state.QueuedRequest{TransactionID: mark("upload"), Request: &state.UploadRequest{
		ContentType: mark("content type"), CacheKey: media.File(id.ContentURIString(mark("cache key"))), RelatedTo: mark("related")}}))
	p.Must("SetRequestError", s.SetRequestError(p.Ctx, room, txn, &state.InvalidMimeType{MimeType: mark("another wedge")}))
	parent := mark("parent")
	p.Must("SaveDependent", s.SaveDependent(p.Ctx, room, dependent(mark("dependent"), parent, &state.ReactEvent{Key: mark("reaction")})))
	_, err := s.MarkDependentsReady(p.Ctx, room, parent, &state.SentEvent{EventID: id.EventID(mark("sent event")), Content: content("sent")})
	p.Must("MarkDependentsReady", err)
	s.subscribe(stamped(room, id.EventID(mark("thread")), state.SubscribedManually, 1))
	p.Must("Set", state.Set(p.Ctx, s, state.FilterID(mark("filter's name")), mark("filter")))
	p.Must("Set", state.Set(p.Ctx, s, state.ThreadDraft(room, id.EventID(mark("draft's thread"))), state.ComposerDraft{PlainText: mark("draft")}))
	p.Must("SetCustomValue", s.SetCustomValue(p.Ctx, []byte(mark("custom key")), []byte(mark("custom value"))))
	_, _, err = s.SwapCustomValue(p.Ctx, []byte(mark("swapped key")), []byte(mark("swapped value")))
	p.Must("SwapCustomValue", err)
	if _, _, err = s.TakeLease(p.Ctx, mark("key of a lease"), mark("holder of a lease"), time.Hour); err != nil {
		p.Fatal("TakeLease returned: %v", err)
	}
}

func caseSecret(p *probe) {
	s := p.open()
	var m trial.Markers
	for range 2 {
		marked(s, m.Mark)
	}
	removed := id.RoomID(m.Mark("removed room"))
	furnish(s, removed)
	p.Must("RemoveRoom", s.RemoveRoom(p.Ctx, removed))
	before, err := s.RoomInfos(p.Ctx)
	p.Must("RoomInfos", err)
	search := trial.FileSearch{Dir: s.dir, Files: p.h.Files, Markers: m, Least: 10_000}
	p.SearchWhileOpen(search)
	p.Must("Pause", s.Pause(p.Ctx))
	p.SearchFiles("while it is paused", search)
	p.Must("Resume", s.Resume(p.Ctx))
	p.Must("Compact", s.Compact(p.Ctx))
	s.close()
	p.SearchFiles("after Close", search)
	s.Store = p.openIn(s.dir, p.options()).Store
	is(p, "RoomInfos", before)(s.RoomInfos(p.Ctx))
}

func caseFilesNamed(p *probe) {
	s := p.open()
	check := func(when string) { p.FilesNamed(when, s.dir, p.h.Files) }
	furnish(s, kitchen)
	_, _, err := s.TakeLease(p.Ctx, "key", "holder", time.Hour)
	p.Must("TakeLease", err)
	check("while the store is open")
	p.Must("Pause", s.Pause(p.Ctx))
	check("while the store is paused")
	p.Must("Resume", s.Resume(p.Ctx))
	s.close()
	check("after Close")
}
