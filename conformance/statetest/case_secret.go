package statetest

// Nothing that a user, a server or a client has written can be read in the files of an encrypted store.

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"

	"github.com/quiesce-go/quiesce/conformance"
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

// markers make texts that are in no file by chance, and remember them.
type markers []marker

type marker struct{ place, text string }

// common is in every marker.
const common = "XvMark"

// mark returns a text of twelve bytes that names a place.
func (m *markers) mark(place string) string {
	text := fmt.Sprintf("Zq%04d"+common, len(*m)) // the same length each, and none is a part of another
	*m = append(*m, marker{place, text})
	return text
}

// forms are how a text may stand in a file without being encrypted.
func forms(text string) map[string][]byte {
	all := map[string][]byte{
		"as it is": []byte(text), "in hex": []byte(hex.EncodeToString([]byte(text))), "in HEX": []byte(strings.ToUpper(hex.EncodeToString([]byte(text)))),
	}
	var wide []byte
	for _, b := range []byte(text) {
		wide = append(wide, b, 0)
	}
	all["in UTF-16"] = wide
	for offset := range 3 { // base64 of it, wherever it begins in what is encoded
		padded := append(make([]byte, offset), text...)
		encoded := base64.StdEncoding.EncodeToString(padded)
		first, last := (offset*8+5)/6, len(padded)*8/6
		all[fmt.Sprint("in base64, from byte ", offset)] = []byte(encoded[first:last])
	}
	return all
}

// in says which of them can be read in a file.
func (m markers) in(content []byte) string {
	var all []string
	for _, marker := range m {
		for _, bytesOf := range forms(marker.text) {
			if bytes.Contains(content, bytesOf) {
				all = append(all, marker.place)
				break
			}
		}
	}
	if len(all) > 20 {
		all = append(all[:20], fmt.Sprintf("and %d more", len(all)-20))
	}
	return strings.Join(all, "; ")
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
	var m markers
	for range 2 {
		marked(s, m.mark)
	}
	removed := id.RoomID(m.mark("removed room"))
	furnish(s, removed)
	p.Must("RemoveRoom", s.RemoveRoom(p.Ctx, removed))
	before, err := s.RoomInfos(p.Ctx)
	p.Must("RoomInfos", err)
	p.searchWhileOpen(s.dir, m)
	p.Must("Pause", s.Pause(p.Ctx))
	p.search("while it is paused", s.dir, m, os.ReadFile)
	p.Must("Resume", s.Resume(p.Ctx))
	p.Must("Compact", s.Compact(p.Ctx))
	s.close()
	p.search("after Close", s.dir, m, os.ReadFile)
	s.Store = p.openIn(s.dir, p.options()).Store
	is(p, "RoomInfos", before)(s.RoomInfos(p.Ctx))
}

// searchWhileOpen lets another process read the files: to open and close a file of
// SQLite in this one would drop its locks.
func (p *probe) searchWhileOpen(dir string, m markers) {
	cat, err := exec.LookPath("cat")
	if err != nil {
		p.Note("there is no program cat, so the files were not looked into while the store was open")
		return
	}
	p.search("while it is open", dir, m, func(path string) ([]byte, error) {
		if _, err := os.Stat(path); err != nil {
			return nil, err
		}
		return exec.CommandContext(p.Ctx, cat, path).Output()
	})
}

func (p *probe) search(when, dir string, m markers, read func(path string) ([]byte, error)) {
	size := 0
	for _, path := range p.h.Files(dir) {
		content, err := read(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		p.Must("reading a file of the store", err)
		size += len(content)
		for form, bytesOf := range forms(common) { // most files have none, which is told soon
			if bytes.Contains(content, bytesOf) {
				p.Broken("%s can be read in %s %s, %s", m.in(content), strings.TrimPrefix(path, dir), when, form)
			}
		}
	}
	if size < 10_000 && when != "while it is open" {
		p.Broken("the files that Files names have %d bytes together %s: what is stored must lie somewhere else", size, when)
	}
}

func caseFilesNamed(p *probe) {
	s := p.open()
	check := func(when string) {
		named := p.h.Files(s.dir)
		p.Must("looking into the store's directory", filepath.WalkDir(s.dir, func(path string, e fs.DirEntry, err error) error {
			if err == nil && !e.IsDir() && !slices.Contains(named, path) {
				p.Broken("%s there is a file %s, which Files does not name", when, strings.TrimPrefix(path, s.dir))
			}
			return err
		}))
	}
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
