package statetest

// What is yet to be sent, and what depends on it.

import (
	"time"

	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"

	"github.com/quiesce-go/quiesce/matrixstores/media"
	"github.com/quiesce-go/quiesce/matrixstores/state"
)

var queueCases = []Case{
	{
		Name:    "send-queue",
		Promise: "requests wait in the order in which they were saved; one can be replaced, which clears its error, told why it cannot be sent, and removed; the rooms that have some are known",
		Origins: from(seed(20), "ST-25", "ST-26", "ST-27", "ST-28", "ST-29", "ST-30"), run: caseQueue,
	},
	{
		Name:    "priorities",
		Promise: "requests with a higher priority come first, and those with the same one in the order in which they were saved, also after they were replaced",
		Origins: from(seed(21), "ST-28"), run: casePriority,
	},
	{
		Name:    "a-transaction-id-twice",
		Promise: "a second request with the same room and transaction id is refused, and the first stays; in another room, in the other queue, and after it was removed, it is another one",
		Origins: from("DIV-05", "GAP-ST/duplicate transaction id", "ST-25", "ST-31"), Differs: "so is a second dependent request", run: caseDuplicate,
	},
	{
		Name:    "dependents",
		Promise: "what depends on a request is told what it has become, and stays when that is removed; it can be replaced and removed",
		Origins: from(seed(22), seed(23), "ST-31", "ST-32", "ST-33", "ST-34", "ST-35"), run: caseDependents,
	},
	{
		Name:    "kinds-of-requests",
		Promise: "every kind of request, of what depends on one, of reasons and of what was sent comes back as it was; without a time it is the one at which it was saved",
		Origins: from("ST-25", "ST-29", "ST-31", "ST-32"), run: caseRequestKinds,
	},
}

func message(text string) *state.EventRequest {
	return &state.EventRequest{Type: "m.room.message", Content: raw(`{"body":%s}`, quoted(text))}
}

func queued(txn string, priority int) state.QueuedRequest {
	return state.QueuedRequest{TransactionID: txn, Request: message(txn), Priority: priority, CreatedAt: 42}
}

func (s *subject) queue(room id.RoomID, want ...state.QueuedRequest) {
	is(s.p, "Requests", want)(s.Requests(s.p.Ctx, room))
}

func caseQueue(p *probe) {
	s := p.open()
	s.queue(kitchen)
	all := []state.QueuedRequest{queued("d", 0), queued("a", 0), queued("c", 0), queued("b", 0)}
	for _, q := range all {
		p.Must("SaveRequest", s.SaveRequest(p.Ctx, kitchen, q))
	}
	for _, room := range []id.RoomID{"!c:x", garden} {
		p.Must("SaveRequest", s.SaveRequest(p.Ctx, room, queued("x", 0)))
	}
	s.again(func() {
		s.queue(kitchen, all...)
		is(p, "RoomsWithRequests", []id.RoomID{"!c:x", garden, kitchen})(s.RoomsWithRequests(p.Ctx))
	})
	for i := range []int{1, 2} {
		all[i].Error = &state.OtherWedge{Message: "why"}
		p.Must("SetRequestError", s.SetRequestError(p.Ctx, kitchen, all[i].TransactionID, all[i].Error))
	}
	p.Must("SetRequestError of what is not there", s.SetRequestError(p.Ctx, kitchen, "none", &state.MissingMedia{}))
	s.again(func() { s.queue(kitchen, all...) })
	all[0].Request, all[0].Error, all[1].Error = message("replaced"), nil, nil
	is(p, "UpdateRequest", true)(s.UpdateRequest(p.Ctx, kitchen, "d", all[0].Request))
	p.Must("SetRequestError", s.SetRequestError(p.Ctx, kitchen, "a", nil))
	is(p, "UpdateRequest of what is not there", false)(s.UpdateRequest(p.Ctx, kitchen, "none", message("")))
	is(p, "UpdateRequest of another room's", false)(s.UpdateRequest(p.Ctx, kitchen, "x", message("")))
	s.again(func() { s.queue(kitchen, all...) })
	is(p, "RemoveRequest", true)(s.RemoveRequest(p.Ctx, kitchen, "c"))
	is(p, "RemoveRequest for the second time", false)(s.RemoveRequest(p.Ctx, kitchen, "c"))
	is(p, "RemoveRequest", true)(s.RemoveRequest(p.Ctx, garden, "x"))
	p.Must("SetRequestError", s.SetRequestError(p.Ctx, "!c:x", "x", &state.VerificationRequired{}))
	s.again(func() {
		s.queue(kitchen, all[0], all[1], all[3])
		s.queue(garden)
		is(p, "RoomsWithRequests", []id.RoomID{"!c:x", kitchen})(s.RoomsWithRequests(p.Ctx))
	})
}

func casePriority(p *probe) {
	s := p.open()
	for _, q := range []state.QueuedRequest{queued("low", -1), queued("two", 2), queued("zero", 0), queued("ten", 10), queued("another two", 2), queued("least", -1<<31), queued("most", 1<<31-1)} {
		p.Must("SaveRequest", s.SaveRequest(p.Ctx, kitchen, q))
	}
	is(p, "UpdateRequest", true)(s.UpdateRequest(p.Ctx, kitchen, "two", message("two")))
	p.Must("SetRequestError", s.SetRequestError(p.Ctx, kitchen, "two", nil))
	s.again(func() {
		s.queue(kitchen, queued("most", 1<<31-1), queued("ten", 10), queued("two", 2), queued("another two", 2), queued("zero", 0), queued("low", -1), queued("least", -1<<31))
	})
}

func dependent(own, parent string, what state.Dependent) state.DependentRequest {
	return state.DependentRequest{TransactionID: own, Parent: parent, Dependent: what, CreatedAt: 42}
}

func caseDuplicate(p *probe) {
	s := p.open()
	p.Must("SaveRequest", s.SaveRequest(p.Ctx, kitchen, queued("t", 1)))
	p.Must("SaveDependent", s.SaveDependent(p.Ctx, kitchen, dependent("t", "p", &state.RedactEvent{})))
	p.Must("SaveRequest in another room", s.SaveRequest(p.Ctx, garden, queued("t", 3)))
	twice := func() {
		p.Is("SaveRequest for the second time", s.SaveRequest(p.Ctx, kitchen, state.QueuedRequest{TransactionID: "t", Request: message("other"), CreatedAt: 1}), state.ErrDuplicate)
		p.Is("SaveDependent for the second time", s.SaveDependent(p.Ctx, kitchen, dependent("t", "q", &state.ReactEvent{Key: "other"})), state.ErrDuplicate)
		s.queue(kitchen, queued("t", 1))
		s.queue(garden, queued("t", 3))
		is(p, "Dependents", []state.DependentRequest{dependent("t", "p", &state.RedactEvent{})})(s.Dependents(p.Ctx, kitchen))
	}
	s.again(twice)
	is(p, "RemoveRequest", true)(s.RemoveRequest(p.Ctx, kitchen, "t"))
	p.Must("SaveRequest of what was removed", s.SaveRequest(p.Ctx, kitchen, queued("t", 1)))
	twice()
}

func caseDependents(p *probe) {
	s := p.open()
	p.Must("SaveRequest", s.SaveRequest(p.Ctx, kitchen, queued("parent", 0)))
	want := []state.DependentRequest{
		dependent("b", "parent", &state.RedactEvent{}), dependent("a", "parent", &state.EditEvent{Type: "t", Content: raw(`{"<":1}`)}), dependent("c", "other", &state.ReactEvent{Key: "k"}),
	}
	for _, d := range want {
		p.Must("SaveDependent", s.SaveDependent(p.Ctx, kitchen, d))
	}
	p.Must("SaveDependent in another room", s.SaveDependent(p.Ctx, garden, want[0]))
	are := func() { is(p, "Dependents", want)(s.Dependents(p.Ctx, kitchen)) }
	s.again(are)
	key := &state.SentEvent{EventID: "$sent", Type: "t", Content: raw(`{}`)}
	is(p, "MarkDependentsReady", 2)(s.MarkDependentsReady(p.Ctx, kitchen, "parent", key))
	is(p, "MarkDependentsReady of what has none", 0)(s.MarkDependentsReady(p.Ctx, kitchen, "a", key))
	want[0].ParentKey, want[1].ParentKey = key, key
	is(p, "RemoveRequest of the parent", true)(s.RemoveRequest(p.Ctx, kitchen, "parent"))
	want[2].Dependent = &state.RedactEvent{}
	is(p, "UpdateDependent", true)(s.UpdateDependent(p.Ctx, kitchen, "c", want[2].Dependent))
	is(p, "UpdateDependent of what is not there", false)(s.UpdateDependent(p.Ctx, kitchen, "none", want[2].Dependent))
	s.again(func() {
		are()
		is(p, "Dependents of another room", []state.DependentRequest{dependent("b", "parent", &state.RedactEvent{})})(s.Dependents(p.Ctx, garden))
	})
	is(p, "RemoveDependent", true)(s.RemoveDependent(p.Ctx, kitchen, "b"))
	is(p, "RemoveDependent for the second time", false)(s.RemoveDependent(p.Ctx, kitchen, "b"))
	want = want[1:]
	s.again(are)
}

func caseRequestKinds(p *probe) {
	s := p.open()
	source := state.MediaSource{File: &event.EncryptedFileInfo{URL: "mxc://x/file"}}
	plain := state.MediaSource{URL: "mxc://x/thumbnail"}
	uploaded := []state.UploadedFile{{File: source, Thumbnail: &plain}, {File: plain}}
	requests := []state.Request{
		message("<b>\x00"), &state.UploadRequest{ContentType: "image/png", CacheKey: media.File("mxc://x/key"), Thumbnail: &source, RelatedTo: "t", Accumulated: uploaded},
		&state.RedactionRequest{Redacts: "$1", Reason: "r"},
	}
	reasons := []state.WedgeError{
		nil, &state.InsecureDevices{Devices: map[id.UserID][]id.DeviceID{alice: {"A", "B"}}}, &state.IdentityViolations{Users: []id.UserID{bob}}, &state.VerificationRequired{},
		&state.MissingMedia{}, &state.InvalidMimeType{MimeType: "a/b/c"}, &state.OtherWedge{Message: "m"},
	}
	dependents := []state.Dependent{
		&state.EditEvent{Type: "t", Content: raw(`{"n":1.0}`)}, &state.RedactEvent{}, &state.ReactEvent{Key: "👍️"},
		&state.UploadFile{ContentType: "a/b", CacheKey: media.File("mxc://x/key"), RelatedTo: "t", ParentIsThumbnail: true},
		&state.FinishUpload{LocalEcho: raw(`{}`), FileUpload: "t", Thumbnail: &state.ThumbnailInfo{TransactionID: "t", Width: 3, Height: 4}, ExtraContent: raw(`{"<":1}`)},
		&state.FinishGallery{LocalEcho: raw(`{}`), Items: []state.GalleryItem{{FileUpload: "t", Thumbnail: &state.ThumbnailInfo{Width: 1}}}},
	}
	keys := []state.SentKey{
		nil, &state.SentEvent{EventID: "$1", Type: "t", Content: raw(`{}`)}, &state.SentMedia{File: source, Thumbnail: &plain, Accumulated: uploaded},
		&state.SentRedaction{EventID: "$1", Redacts: "$2", Reason: "r"},
	}
	var wantRequests []state.QueuedRequest
	var wantDependents []state.DependentRequest
	for i := range max(len(reasons), len(dependents)) {
		q := state.QueuedRequest{TransactionID: string(rune('a' + i)), Request: requests[i%len(requests)], Error: reasons[i%len(reasons)]}
		d := state.DependentRequest{TransactionID: string(rune('a' + i)), Parent: "p", Dependent: dependents[i%len(dependents)], ParentKey: keys[i%len(keys)]}
		p.Must("SaveRequest", s.SaveRequest(p.Ctx, kitchen, q))
		p.Must("SaveDependent", s.SaveDependent(p.Ctx, kitchen, d))
		q.CreatedAt, d.CreatedAt = p.Clock.Now().UnixMilli(), p.Clock.Now().UnixMilli()
		wantRequests, wantDependents = append(wantRequests, q), append(wantDependents, d)
		p.Clock.Add(time.Hour)
	}
	s.again(func() {
		s.queue(kitchen, wantRequests...)
		is(p, "Dependents", wantDependents)(s.Dependents(p.Ctx, kitchen))
	})
}
