package state_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"

	"github.com/quiesce-go/quiesce/matrixstores/media"
	"github.com/quiesce-go/quiesce/matrixstores/state"
)

var (
	plainFile     = state.MediaSource{URL: "mxc://a/b"}
	encryptedFile = state.MediaSource{File: &event.EncryptedFileInfo{URL: "mxc://a/c"}}
)

// form is the stored form of something in a queue.
type form[T any] struct {
	v    T
	json string // its fields; those of other versions that must still be read come in others
}

func checkForms[T any](t *testing.T, marshal func(T) ([]byte, error), unmarshal func([]byte) (T, error), forms []form[T]) {
	t.Helper()
	for _, f := range forms {
		data, err := marshal(f.v)
		if err != nil {
			t.Fatalf("%T: %v", f.v, err)
		}
		if string(data) != f.json {
			t.Errorf("%T is stored as\n%s\nand programs that are out there read\n%s", f.v, data, f.json)
		}
		back, err := unmarshal(data)
		if diff := cmp.Diff(any(f.v), any(back)); err != nil || diff != "" {
			t.Errorf("%T comes back as something else (%v) (-put +got):\n%s", f.v, err, diff)
		}
	}
	var none T
	if _, err := marshal(none); err != nil && !errors.Is(err, state.ErrKind) {
		t.Errorf("nil: the error is %v, and should match ErrKind", err)
	}
	for in, want := range map[string]error{`{"kind":"from the future"}`: state.ErrKind, `{}`: state.ErrKind, `5`: state.ErrBroken, `{"kind":5}`: state.ErrBroken, `{`: state.ErrBroken} {
		if _, err := unmarshal([]byte(in)); !errors.Is(err, want) {
			t.Errorf("%s: the error is %v, and should match %v", in, err, want)
		}
	}
}

func TestRequestsKeepTheirStoredForm(t *testing.T) {
	thumbnail := media.Request{URI: "mxc://a/b", Format: media.Format{Method: media.Crop, Width: 1, Height: 2, Animated: true}}
	checkForms(t, state.MarshalRequest, state.UnmarshalRequest, []form[state.Request]{
		{&state.EventRequest{Type: "m.room.message", Content: json.RawMessage(`{"body":"<b>"}`)},
			`{"kind":"event","type":"m.room.message","content":{"body":"<b>"}}`},
		{&state.UploadRequest{ContentType: "image/png", CacheKey: thumbnail, Thumbnail: &plainFile, RelatedTo: "t", Accumulated: []state.UploadedFile{{File: plainFile, Thumbnail: &plainFile}}},
			`{"kind":"media_upload","content_type":"image/png","cache_key":{"uri":"mxc://a/b","method":"crop","width":1,"height":2,"animated":true},"thumbnail_source":{"url":"mxc://a/b"},"related_to":"t","accumulated":[{"file":{"url":"mxc://a/b"},"thumbnail":{"url":"mxc://a/b"}}]}`},
		{&state.UploadRequest{ContentType: "x", CacheKey: media.File("u"), RelatedTo: "t"},
			`{"kind":"media_upload","content_type":"x","cache_key":{"uri":"u"},"related_to":"t"}`},
		{&state.RedactionRequest{Redacts: "$e", Reason: "r"}, `{"kind":"redaction","redacts":"$e","reason":"r"}`},
	})
}

func TestReasonsKeepTheirStoredForm(t *testing.T) {
	checkForms(t, state.MarshalWedgeError, state.UnmarshalWedgeError, []form[state.WedgeError]{
		{&state.InsecureDevices{Devices: map[id.UserID][]id.DeviceID{"@a:b": {"X"}}}, `{"kind":"insecure_devices","devices":{"@a:b":["X"]}}`},
		{&state.IdentityViolations{Users: []id.UserID{"@a:b"}}, `{"kind":"identity_violations","users":["@a:b"]}`},
		{&state.VerificationRequired{}, `{"kind":"cross_verification_required"}`},
		{&state.MissingMedia{}, `{"kind":"missing_media_content"}`},
		{&state.InvalidMimeType{MimeType: "x"}, `{"kind":"invalid_mime_type","mime_type":"x"}`},
		{&state.OtherWedge{Message: "x"}, `{"kind":"generic_api_error","message":"x"}`},
	})
	if data, err := state.MarshalWedgeError(nil); data != nil || err != nil {
		t.Errorf("no reason is stored as %q (%v), and should be nothing", data, err)
	}
	if e, err := state.UnmarshalWedgeError(nil); e != nil || err != nil {
		t.Errorf("nothing is read as the reason %v (%v)", e, err)
	}
}

func TestDependentRequestsKeepTheirStoredForm(t *testing.T) {
	checkForms(t, state.MarshalDependent, state.UnmarshalDependent, []form[state.Dependent]{
		{&state.EditEvent{Type: "m.x", Content: json.RawMessage(`{}`)}, `{"kind":"edit_event","type":"m.x","content":{}}`},
		{&state.RedactEvent{}, `{"kind":"redact_event"}`},
		{&state.ReactEvent{Key: "👍"}, `{"kind":"react_event","key":"👍"}`},
		{&state.UploadFile{ContentType: "x", CacheKey: media.File("u"), RelatedTo: "t", ParentIsThumbnail: false},
			`{"kind":"upload_file_or_thumbnail","content_type":"x","cache_key":{"uri":"u"},"related_to":"t","parent_is_thumbnail_upload":false}`},
		{&state.FinishUpload{LocalEcho: json.RawMessage(`{"body":"x"}`), FileUpload: "t", Thumbnail: &state.ThumbnailInfo{TransactionID: "u", Width: 1, Height: 2}, ExtraContent: json.RawMessage(`{"a":1}`)},
			`{"kind":"finish_upload","local_echo":{"body":"x"},"file_upload":"t","thumbnail_info":{"txn":"u","width":1,"height":2},"extra_content":{"a":1}}`},
		{&state.FinishGallery{LocalEcho: json.RawMessage(`{}`), Items: []state.GalleryItem{{FileUpload: "t"}}},
			`{"kind":"finish_gallery","local_echo":{},"items":[{"file_upload":"t"}]}`},
	})

	// What was stored before there were galleries: another name, and no word about the parent, which was a thumbnail then.
	old, err := state.UnmarshalDependent([]byte(`{"kind":"upload_file_with_thumbnail","content_type":"x","cache_key":{"uri":"u"},"related_to":"t"}`))
	want := &state.UploadFile{ContentType: "x", CacheKey: media.File("u"), RelatedTo: "t", ParentIsThumbnail: true}
	if diff := cmp.Diff(state.Dependent(want), old); err != nil || diff != "" {
		t.Errorf("an old request is read as another one (%v) (-should +is):\n%s", err, diff)
	}

	for d, own := range map[state.Dependent]bool{
		&state.EditEvent{}: false, &state.RedactEvent{}: false, &state.ReactEvent{}: false, &state.UploadFile{}: false,
		&state.FinishUpload{}: true, &state.FinishGallery{}: true,
	} {
		if r := (state.DependentRequest{Dependent: d}); r.IsOwnEvent() != own {
			t.Errorf("%T becomes an event of its own: %v, and should be %v", d, !own, own)
		}
	}
}

func TestSentKeysKeepTheirStoredForm(t *testing.T) {
	checkForms(t, state.MarshalSentKey, state.UnmarshalSentKey, []form[state.SentKey]{
		{&state.SentEvent{EventID: "$e", Type: "m.x", Content: json.RawMessage(`{}`)}, `{"kind":"event","event_id":"$e","type":"m.x","content":{}}`},
		{&state.SentMedia{File: plainFile, Accumulated: []state.UploadedFile{{File: plainFile}}},
			`{"kind":"media","file":{"url":"mxc://a/b"},"accumulated":[{"file":{"url":"mxc://a/b"}}]}`},
		{&state.SentRedaction{EventID: "$e", Redacts: "$f"}, `{"kind":"redaction","event_id":"$e","redacts":"$f"}`},
	})
	data, err := state.MarshalSentKey(&state.SentMedia{File: encryptedFile})
	if err != nil {
		t.Fatal(err)
	}
	if back, err := state.UnmarshalSentKey(data); err != nil || back.(*state.SentMedia).File.File.URL != "mxc://a/c" {
		t.Errorf("an encrypted file comes back as %+v (%v)", back, err)
	}
}

func TestARequestIsRefusedThatCannotBeSent(t *testing.T) {
	evt := &state.EventRequest{Type: "m.x", Content: json.RawMessage(`{}`)}
	var typedNil *state.EventRequest
	for _, c := range []struct {
		name string
		err  error
		want error
	}{
		{"a whole one", (&state.QueuedRequest{TransactionID: "t", Request: evt, Error: &state.MissingMedia{}}).Check(), nil},
		{"no transaction id", (&state.QueuedRequest{Request: evt}).Check(), state.ErrNoTransactionID},
		{"nothing", (&state.QueuedRequest{TransactionID: "t"}).Check(), state.ErrKind},
		{"nil of a kind", (&state.QueuedRequest{TransactionID: "t", Request: typedNil}).Check(), state.ErrKind},
		{"no type", (&state.QueuedRequest{TransactionID: "t", Request: &state.EventRequest{Content: evt.Content}}).Check(), state.ErrNoEventType},
		{"no content", (&state.QueuedRequest{TransactionID: "t", Request: &state.EventRequest{Type: "m.x"}}).Check(), state.ErrNotJSON},
		{"a bad content", (&state.QueuedRequest{TransactionID: "t", Request: &state.EventRequest{Type: "m.x", Content: json.RawMessage(`{"a"`)}}).Check(), state.ErrNotJSON},
		{"a bad text", (&state.QueuedRequest{TransactionID: "t", Request: &state.EventRequest{Type: "m.\xff", Content: evt.Content}}).Check(), state.ErrNotUTF8},
		{"a bad transaction id", (&state.QueuedRequest{TransactionID: "\xff", Request: evt}).Check(), state.ErrNotUTF8},
		{"a bad reason", (&state.QueuedRequest{TransactionID: "t", Request: evt, Error: &state.OtherWedge{Message: "\xff"}}).Check(), state.ErrNotUTF8},
		{"redacts nothing", (&state.QueuedRequest{TransactionID: "t", Request: &state.RedactionRequest{}}).Check(), state.ErrNoEventID},
		{"a whole dependent", (&state.DependentRequest{TransactionID: "t", Parent: "p", Dependent: &state.RedactEvent{}}).Check(), nil},
		{"no parent", (&state.DependentRequest{TransactionID: "t", Dependent: &state.RedactEvent{}}).Check(), state.ErrNoTransactionID},
		{"nothing to do", (&state.DependentRequest{TransactionID: "t", Parent: "p"}).Check(), state.ErrKind},
		{"a bad key", (&state.DependentRequest{TransactionID: "t", Parent: "p", Dependent: &state.RedactEvent{}, ParentKey: &state.SentEvent{}}).Check(), state.ErrNoEventID},
	} {
		if !errors.Is(c.err, c.want) || (c.want == nil && c.err != nil) {
			t.Errorf("%s: the error is %v, and should match %v", c.name, c.err, c.want)
		}
	}
}

func TestReasonsSayNothingOfWhoIsMeant(t *testing.T) {
	for _, e := range []state.WedgeError{
		&state.InsecureDevices{Devices: map[id.UserID][]id.DeviceID{"@secret:b": {"X"}}}, &state.IdentityViolations{Users: []id.UserID{"@secret:b"}},
		&state.VerificationRequired{}, &state.MissingMedia{}, &state.InvalidMimeType{MimeType: "x"}, &state.OtherWedge{Message: "\xff"},
	} {
		if text := e.Error(); text == "" || strings.Contains(text, "secret") || strings.Contains(text, "\xff") {
			t.Errorf("%T reads %q", e, text)
		}
	}
}
