package eventcache_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"maunium.net/go/mautrix/id"
	"pgregory.net/rapid"

	"github.com/quiesce-go/quiesce/matrixstores/eventcache"
)

// write returns an export of these lines, and fails the test where it cannot be written.
func write(t interface {
	Helper()
	Fatalf(string, ...any)
}, room id.RoomID, lines ...eventcache.ExportLine) []byte {
	t.Helper()
	var b bytes.Buffer
	enc := eventcache.NewEncoder(&b, room)
	for i, line := range lines {
		if err := enc.Write(line); err != nil {
			t.Fatalf("line %d, %+v, was not written: %v", i, line, err)
		}
	}
	if err := enc.End(); err != nil {
		t.Fatalf("the export was not ended: %v", err)
	}
	return b.Bytes()
}

// read returns what an export says, up to the first error.
func read(r io.Reader) (room id.RoomID, lines []eventcache.ExportLine, err error) {
	dec := eventcache.NewDecoder(r)
	if room, err = dec.Room(); err != nil {
		return room, nil, err
	}
	for {
		line, err := dec.Next()
		if err == io.EOF {
			return room, lines, nil
		}
		if err != nil {
			return room, lines, err
		}
		lines = append(lines, line)
	}
}

// small is an export that has a line of every kind.
func small() []eventcache.ExportLine {
	return []eventcache.ExportLine{
		eventcache.ExportEvent{Event: eventcache.Event{ID: "$a", Type: "m.room.message", Raw: json.RawMessage(`{"event_id": "$a"}`)}},
		eventcache.ExportEvent{Event: eventcache.Event{
			ID: "$b", Type: "m.reaction", Session: "s", RelatesTo: "$a", RelType: "m.annotation", Raw: json.RawMessage(`{}`),
			Meta: &eventcache.Meta{Timestamp: 5, Thread: &eventcache.ThreadSummary{Latest: "$a", Count: 3}},
		}},
		eventcache.ExportThread{Root: "$a"},
		eventcache.ExportThread{Root: "$elsewhere"},
		eventcache.ExportList{List: eventcache.Room("!r")},
		eventcache.ExportChunk{ID: 7, Next: 3},
		eventcache.ExportItems{At: eventcache.Position{Chunk: 7}, Events: []id.EventID{"$a", "$b", "$a"}},
		eventcache.ExportItems{At: eventcache.Position{Chunk: 7, Index: 3}, Events: []id.EventID{"$b"}},
		eventcache.ExportChunk{ID: 3, Previous: 7, Next: 9, Gap: &eventcache.Gap{}},
		eventcache.ExportChunk{ID: 9, Previous: 3},
		eventcache.ExportList{List: eventcache.Thread("!r", "$a")},
		eventcache.ExportChunk{ID: 7, Gap: &eventcache.Gap{Token: "t"}},
	}
}

func TestExportReadsAsItWasWritten(t *testing.T) {
	want := small()
	room, got, err := read(bytes.NewReader(write(t, "!r", want...)))
	if err != nil {
		t.Fatalf("an export that was written could not be read: %v", err)
	}
	if diff := cmp.Diff(want, got); room != "!r" || diff != "" {
		t.Errorf("the export of %q says something else than was written into it:\n%s", room, diff)
	}
}

// TestExportLooksAsEver: what was exported once is to be read for years.
func TestExportLooksAsEver(t *testing.T) {
	want := `{"quiesce_event_cache":1,"room":"!r"}
{"event":{"id":"$a","type":"m.room.message","raw":{"event_id": "$a"}}}
{"event":{"id":"$b","type":"m.reaction","session":"s","relates_to":"$a","rel_type":"m.annotation","meta":{"timestamp":5,"thread":{"latest":"$a","count":3}},"raw":{}}}
{"thread":"$a"}
{"thread":"$elsewhere"}
{"list":{"kind":"room"}}
{"chunk":{"id":7,"previous":0,"next":3}}
{"items":{"chunk":7,"index":0,"events":["$a","$b","$a"]}}
{"items":{"chunk":7,"index":3,"events":["$b"]}}
{"chunk":{"id":3,"previous":7,"next":9,"gap":""}}
{"chunk":{"id":9,"previous":3,"next":0}}
{"list":{"kind":"thread","event":"$a"}}
{"chunk":{"id":7,"previous":0,"next":0,"gap":"t"}}
{"end":{"events":2,"threads":2,"lists":2,"chunks":4,"items":4}}
`
	if diff := cmp.Diff(want, string(write(t, "!r", small()...))); diff != "" {
		t.Errorf("an export looks otherwise than it did:\n%s", diff)
	}
	want = `{"quiesce_event_cache":1,"room":{"base64":"If8="}}
{"event":{"id":{"base64":"/w=="},"raw_base64":"eyJh/yI6MX0="}}
{"end":{"events":1,"threads":0,"lists":0,"chunks":0,"items":0}}
`
	odd := eventcache.ExportEvent{Event: eventcache.Event{ID: "\xff", Raw: json.RawMessage("{\"a\xff\":1}")}}
	if diff := cmp.Diff(want, string(write(t, "!\xff", odd))); diff != "" {
		t.Errorf("an export of bytes that are no UTF-8 looks otherwise than it did:\n%s", diff)
	}
}

func TestExportOfNothingIsOneLine(t *testing.T) {
	b := write(t, "!r", eventcache.ExportList{List: eventcache.Room("!r")}, eventcache.ExportItems{}) // a list without chunks, items that are none
	if n := bytes.Count(b, []byte("\n")); n != 1 || !bytes.HasSuffix(b, []byte("\n")) {
		t.Errorf("the export of a room that has nothing is to be one line; it is %q", b)
	}
	if room, lines, err := read(bytes.NewReader(b)); room != "!r" || len(lines) != 0 || err != nil {
		t.Errorf("the export of nothing was read as room %q, %d lines, error %v", room, len(lines), err)
	}
}

func TestExportThatIsCutOffIsRefusedWhereverItWasCut(t *testing.T) {
	whole := write(t, "!r", small()...)
	for n := range len(whole) - 1 { // without its last line break it is whole
		if _, _, err := read(bytes.NewReader(whole[:n])); !errors.Is(err, eventcache.ErrExport) {
			t.Fatalf("of an export only the first %d of %d bytes are there; the error must match ErrExport, it is %v", n, len(whole), err)
		}
	}
	lines := bytes.SplitAfter(whole, []byte("\n"))
	for i := range len(lines) - 1 {
		without := bytes.Join(append(append([][]byte{}, lines[:i]...), lines[i+1:]...), nil)
		if _, _, err := read(bytes.NewReader(without)); !errors.Is(err, eventcache.ErrExport) {
			t.Errorf("line %d of an export is missing, %s; the error must match ErrExport, it is %v", i+1, lines[i], err)
		}
	}
}

func TestExportKeepsAnyBytes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.OneOf(rapid.String(), rapid.Map(rapid.SliceOf(rapid.Byte()), func(b []byte) string { return string(b) }),
			rapid.SampledFrom([]string{"", "null", "{}", `{"base64":"AA=="}`, "\xff", "\u2028", "<&>", "a\nb", "'; DROP TABLE events; --"}))
		raw := rapid.Custom(func(t *rapid.T) json.RawMessage {
			b, err := json.Marshal(map[string]string{text.Draw(t, "name"): text.Draw(t, "value")})
			if err != nil {
				t.Fatal(err)
			}
			switch rapid.IntRange(0, 4).Draw(t, "form") {
			case 0:
				b = append([]byte(" \n\t"), b...)
			case 1:
				b = append(b, '\r', '\n')
			case 2:
				b = []byte("{\n}")
			case 3:
				b = []byte("{\"bytes\" : \"\xff\xfe\"}") // encoding/json says that this is valid
			}
			return b
		})
		any := rapid.Custom(func(t *rapid.T) json.RawMessage {
			if rapid.Bool().Draw(t, "text") {
				return json.RawMessage(text.Draw(t, "bytes"))
			}
			return raw.Draw(t, "JSON")
		})
		room := id.RoomID("!" + text.Draw(t, "room"))
		e := eventcache.Event{
			ID: id.EventID("$" + text.Draw(t, "id")), Type: text.Draw(t, "type"), Session: id.SessionID(text.Draw(t, "session")),
			Raw: raw.Draw(t, "raw"),
		}
		if rapid.Bool().Draw(t, "relates") {
			e.RelatesTo, e.RelType = "$"+id.EventID(text.Draw(t, "to")), "r"
		}
		if rapid.Bool().Draw(t, "meta") {
			e.Meta = drawMeta(t, text, any)
		}
		want := []eventcache.ExportLine{
			eventcache.ExportEvent{Event: e},
			eventcache.ExportThread{Root: e.ID},
			eventcache.ExportList{List: eventcache.Focused(room, e.ID)},
			eventcache.ExportChunk{ID: eventcache.MaxChunkID, Next: 1, Gap: &eventcache.Gap{Token: text.Draw(t, "token")}},
			eventcache.ExportChunk{ID: 1, Previous: eventcache.MaxChunkID},
			eventcache.ExportItems{At: eventcache.Position{Chunk: 1}, Events: []id.EventID{e.ID}},
		}
		b := write(t, room, want...)
		if n := bytes.Count(b, []byte("\n")); n != len(want)+2 || !utf8.Valid(b) {
			t.Fatalf("the export is to be %d lines of UTF-8; it is %q", len(want)+2, b)
		}
		back, got, err := read(bytes.NewReader(b))
		if err != nil {
			t.Fatalf("an export that was written could not be read: %v\n%s", err, b)
		}
		if diff := cmp.Diff(want, got); back != room || diff != "" {
			t.Fatalf("the export of %q says something else than was written into it:\n%s\n%s", room, diff, b)
		}
	})
}

func drawMeta(t *rapid.T, text *rapid.Generator[string], raw *rapid.Generator[json.RawMessage]) *eventcache.Meta {
	m := eventcache.Meta{Timestamp: rapid.Int64().Draw(t, "timestamp")}
	if rapid.Bool().Draw(t, "decrypted") {
		m.Decrypted = &eventcache.Decrypted{
			Sender: id.UserID(text.Draw(t, "sender")), SenderDevice: id.DeviceID(text.Draw(t, "device")), SenderKey: id.SenderKey(text.Draw(t, "key")),
			Algorithm: id.Algorithm(text.Draw(t, "algorithm")), Trust: text.Draw(t, "trust"), Original: raw.Draw(t, "original"),
		}
		if len(m.Decrypted.Original) == 0 {
			m.Decrypted.Original = nil
		}
	}
	if rapid.Bool().Draw(t, "undecryptable") {
		m.Undecryptable = &eventcache.Undecryptable{Reason: text.Draw(t, "reason")}
	}
	if rapid.Bool().Draw(t, "actions") {
		m.PushActions = rapid.SliceOfN(raw, 0, 3).Draw(t, "push actions")
	}
	if rapid.Bool().Draw(t, "thread") {
		m.Thread = &eventcache.ThreadSummary{Latest: id.EventID(text.Draw(t, "latest")), Count: rapid.Int().Draw(t, "count")}
	}
	return &m
}

func TestMetaIsTheSameFromItsJSON(t *testing.T) {
	for name, m := range map[string]eventcache.Meta{
		"nothing":                      {},
		"push actions not determined":  {PushActions: nil},
		"push actions that are none":   {PushActions: []json.RawMessage{}},
		"push actions":                 {PushActions: []json.RawMessage{json.RawMessage(`"notify"`), json.RawMessage(`{"set_tweak":"sound"}`)}},
		"a sender that is no UTF-8":    {Decrypted: &eventcache.Decrypted{Sender: "@\xff"}},
		"an original with HTML":        {Decrypted: &eventcache.Decrypted{Original: json.RawMessage(`{"a":"<b>"}`)}},
		"an original with spaces":      {Decrypted: &eventcache.Decrypted{Original: json.RawMessage(`{"a": 1}`)}},
		"an original with U+2028":      {Decrypted: &eventcache.Decrypted{Original: json.RawMessage("{\"a\":\"\u2028\"}")}},
		"an original that is no UTF-8": {Decrypted: &eventcache.Decrypted{Original: json.RawMessage("{\"a\":\"\xff\"}")}},
		"an original like sealed JSON": {Decrypted: &eventcache.Decrypted{Original: json.RawMessage(`{"base64":"AA=="}`)}},
		"an original that is no JSON":  {Decrypted: &eventcache.Decrypted{Original: json.RawMessage(`{`)}},
	} {
		b, err := json.Marshal(&m)
		if err != nil || !utf8.Valid(b) {
			t.Errorf("%s: a Meta must always have JSON, in UTF-8: %v, %q", name, err, b)
			continue
		}
		var back eventcache.Meta
		if err := json.Unmarshal(b, &back); err != nil {
			t.Errorf("%s: %s was not read: %v", name, b, err)
		} else if diff := cmp.Diff(m, back); diff != "" {
			t.Errorf("%s: from %s comes another Meta:\n%s", name, b, diff)
		}
	}
}

// nested is JSON that is nested in so many levels.
func nested(levels int) json.RawMessage {
	return json.RawMessage(strings.Repeat(`{"a":`, levels-1) + `{}` + strings.Repeat(`}`, levels-1))
}

// TestNoJSONIsTooDeepForAnExport: encoding/json reads 10,000 levels, and a line has some of its own around what it carries.
func TestNoJSONIsTooDeepForAnExport(t *testing.T) {
	const deepest = 10_000
	for _, levels := range []int{8_000, 9_000, 9_001, deepest - 6, deepest - 5, deepest - 4, deepest - 3, deepest - 2, deepest - 1, deepest} {
		raw := nested(levels)
		meta := &eventcache.Meta{Decrypted: &eventcache.Decrypted{Original: raw}, PushActions: []json.RawMessage{raw}}
		var want []eventcache.ExportLine
		for i, e := range []eventcache.Event{{Raw: raw}, {Raw: json.RawMessage(`{}`), Meta: meta}, {Raw: raw, Meta: meta}} {
			e.ID = id.EventID(fmt.Sprint("$", i))
			if err := e.Check(); err != nil {
				t.Fatalf("an event of %d levels is refused, which this test is to export: %v", levels, err)
			}
			want = append(want, eventcache.ExportEvent{Event: e})
		}
		_, got, err := read(bytes.NewReader(write(t, "!r", want...)))
		if err != nil {
			t.Errorf("an export of events of %d levels was written, and cannot be read: %v", levels, err)
		} else if !reflect.DeepEqual(want, got) { // cmp looks at every byte
			t.Errorf("an export of events of %d levels says something else than was written into it", levels)
		}
	}
	brackets := json.RawMessage(`{"a":"` + strings.Repeat(`[{\"`, deepest) + `"}`)
	if b := write(t, "!r", eventcache.ExportEvent{Event: eventcache.Event{ID: "$a", Raw: brackets}}); !bytes.Contains(b, brackets) {
		t.Error("brackets within a text are no levels, and the JSON of the event does not stand in its line as it is")
	}
}

func TestExportItemsNeedNoLongLine(t *testing.T) {
	const n = 1200
	var lines []eventcache.ExportLine
	var ids []id.EventID
	long := strings.Repeat("x", 200_000)
	for i := range n {
		e := id.EventID(fmt.Sprint("$", i))
		switch {
		case i == 0:
			e += id.EventID(strings.Repeat("x", 1_100_000)) // more than a line is to have, and it must be in one
		case i < 7:
			e += id.EventID(long)
		}
		ids = append(ids, e)
		lines = append(lines, eventcache.ExportEvent{Event: eventcache.Event{ID: e, Raw: json.RawMessage(`{}`)}})
	}
	lines = append(lines, eventcache.ExportList{List: eventcache.Pinned("!r")}, eventcache.ExportChunk{ID: 1},
		eventcache.ExportItems{At: eventcache.Position{Chunk: 1}, Events: ids})
	b := write(t, "!r", lines...)
	for line := range bytes.Lines(b) {
		if len(line) > 2<<20 {
			t.Errorf("a chunk of many items, or of long ids, is to be several lines; one has %d bytes", len(line))
		}
	}
	_, got, err := read(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	var back []id.EventID
	for _, line := range got {
		if items, is := line.(eventcache.ExportItems); is {
			back = append(back, items.Events...)
		}
	}
	if diff := cmp.Diff(ids, back); diff != "" {
		t.Errorf("the items of a chunk are other ones after they were written as several lines:\n%s", diff)
	}
}

// wrong are lines that are no export, by what is wrong with them. A line of "r" is the usual first one.
var wrong = map[string][]string{
	"empty":                        {},
	"an empty line":                {""},
	"no JSON":                      {"hello"},
	"null":                         {"null"},
	"a list":                       {"[]"},
	"no version":                   {`{"room":"!r"}`},
	"another version":              {`{"quiesce_event_cache":2,"room":"!r","more":true}`, `{"end":{}}`},
	"a version that is no number":  {`{"quiesce_event_cache":"1","room":"!r"}`, `{"end":{}}`},
	"no room":                      {`{"quiesce_event_cache":1}`, `{"end":{}}`},
	"an empty room":                {`{"quiesce_event_cache":1,"room":""}`, `{"end":{}}`},
	"a room that is no string":     {`{"quiesce_event_cache":1,"room":[]}`, `{"end":{}}`},
	"a room that is no base64":     {`{"quiesce_event_cache":1,"room":{"base64":"?"}}`, `{"end":{}}`},
	"a thread in the first line":   {`{"quiesce_event_cache":1,"room":"!r","thread":"$a"}`, `{"end":{}}`},
	"an event in the first line":   {`{"quiesce_event_cache":1,"room":"!r","event":{"id":"$a","raw":{}}}`, `{"end":{}}`},
	"a list in the first line":     {`{"quiesce_event_cache":1,"room":"!r","list":{"kind":"room"}}`, `{"end":{}}`},
	"a chunk in the first line":    {`{"quiesce_event_cache":1,"room":"!r","chunk":{"id":1}}`, `{"end":{}}`},
	"items in the first line":      {`{"quiesce_event_cache":1,"room":"!r","items":{"chunk":1,"events":["$a"]}}`, `{"end":{}}`},
	"a room in another line":       {"r", `{"room":"!r","thread":"$a"}`, `{"end":{"threads":1}}`},
	"no end":                       {"r"},
	"an end that counts otherwise": {"r", `{"end":{"events":1}}`},
	"an end with more":             {"r", `{"end":{},"thread":"$a"}`},
	"something after the end":      {"r", `{"end":{}}`, ``},
	"two rooms":                    {"r", "r", `{"end":{}}`},
	"an empty line among others":   {"r", "", `{"end":{}}`},
	"a line of nothing":            {"r", "{}", `{"end":{}}`},
	"a line of null":               {"r", "null", `{"end":{}}`},
	"two things in a line":         {"r", `{"thread":"$a","event":{"id":"$a","raw":{}}}`, `{"end":{"events":1,"threads":1}}`},
	"two objects in a line":        {"r", `{"thread":"$a"}{}`, `{"end":{"threads":1}}`},
	"a part that is not known":     {"r", `{"thread":"$a","x":1}`, `{"end":{"threads":1}}`},
	"no UTF-8":                     {"r", "{\"thread\":\"$\xff\"}", `{"end":{"threads":1}}`},
	"an event without an id":       {"r", `{"event":{"raw":{}}}`, `{"end":{"events":1}}`},
	"an event without JSON":        {"r", `{"event":{"id":"$a"}}`, `{"end":{"events":1}}`},
	"an event that is null":        {"r", `{"event":{"id":"$a","raw":null}}`, `{"end":{"events":1}}`},
	"an event that is a list":      {"r", `{"event":{"id":"$a","raw":[]}}`, `{"end":{"events":1}}`},
	"an event of sealed nonsense":  {"r", `{"event":{"id":"$a","raw_base64":"AAAA"}}`, `{"end":{"events":1}}`},
	"an event twice over":          {"r", `{"event":{"id":"$a","raw":{},"raw_base64":"e30="}}`, `{"end":{"events":1}}`},
	"half a relation":              {"r", `{"event":{"id":"$a","raw":{},"rel_type":"x"}}`, `{"end":{"events":1}}`},
	"an event that comes twice":    {"r", `{"event":{"id":"$a","raw":{}}}`, `{"event":{"id":"$a","raw":{}}}`, `{"end":{"events":2}}`},
	"an event after a thread":      {"r", `{"thread":"$a"}`, `{"event":{"id":"$a","raw":{}}}`, `{"end":{"events":1,"threads":1}}`},
	"a thread without a root":      {"r", `{"thread":""}`, `{"end":{"threads":1}}`},
	"a thread that comes twice":    {"r", `{"thread":"$a"}`, `{"thread":"$a"}`, `{"end":{"threads":2}}`},
	"a thread after a list":        {"r", `{"list":{"kind":"room"}}`, `{"chunk":{"id":1}}`, `{"thread":"$a"}`, `{"end":{"threads":1,"lists":1,"chunks":1}}`},
	"a list of no kind":            {"r", `{"list":{"kind":"kind 7"}}`, `{"chunk":{"id":1}}`, `{"end":{"lists":1,"chunks":1}}`},
	"a room's list with an event":  {"r", `{"list":{"kind":"room","event":"$a"}}`, `{"chunk":{"id":1}}`, `{"end":{"lists":1,"chunks":1}}`},
	"a thread that is not known":   {"r", `{"list":{"kind":"thread","event":"$a"}}`, `{"chunk":{"id":1}}`, `{"end":{"lists":1,"chunks":1}}`},
	"a list that comes twice":      {"r", `{"list":{"kind":"room"}}`, `{"chunk":{"id":1}}`, `{"list":{"kind":"room"}}`, `{"chunk":{"id":1}}`, `{"end":{"lists":2,"chunks":2}}`},
	"a list without chunks":        {"r", `{"list":{"kind":"room"}}`, `{"end":{"lists":1}}`},
	"a chunk in no list":           {"r", `{"chunk":{"id":1}}`, `{"end":{"chunks":1}}`},
	"a chunk numbered 0":           {"r", `{"list":{"kind":"room"}}`, `{"chunk":{"id":0}}`, `{"end":{"lists":1,"chunks":1}}`},
	"a number that is too large":   {"r", `{"list":{"kind":"room"}}`, `{"chunk":{"id":9223372036854775808}}`, `{"end":{"lists":1,"chunks":1}}`},
	"a number below 0":             {"r", `{"list":{"kind":"room"}}`, `{"chunk":{"id":-1}}`, `{"end":{"lists":1,"chunks":1}}`},
	"a chunk twice":                {"r", `{"list":{"kind":"room"}}`, `{"chunk":{"id":1,"next":1}}`, `{"chunk":{"id":1,"previous":1}}`, `{"end":{"lists":1,"chunks":2}}`},
	"a first chunk after another":  {"r", `{"list":{"kind":"room"}}`, `{"chunk":{"id":1,"previous":2}}`, `{"end":{"lists":1,"chunks":1}}`},
	"a last chunk before another":  {"r", `{"list":{"kind":"room"}}`, `{"chunk":{"id":1,"next":2}}`, `{"end":{"lists":1,"chunks":1}}`},
	"chunks that do not follow":    {"r", `{"list":{"kind":"room"}}`, `{"chunk":{"id":1,"next":2}}`, `{"chunk":{"id":3,"previous":1}}`, `{"end":{"lists":1,"chunks":2}}`},
	"a chunk that looks elsewhere": {"r", `{"list":{"kind":"room"}}`, `{"chunk":{"id":1,"next":2}}`, `{"chunk":{"id":2,"previous":9}}`, `{"end":{"lists":1,"chunks":2}}`},
	"a cycle":                      {"r", `{"list":{"kind":"room"}}`, `{"chunk":{"id":1,"next":2}}`, `{"chunk":{"id":2,"previous":1,"next":1}}`, `{"end":{"lists":1,"chunks":2}}`},
	"chunks that go on elsewhere":  {"r", `{"list":{"kind":"room"}}`, `{"chunk":{"id":1,"next":2}}`, `{"list":{"kind":"pinned"}}`, `{"chunk":{"id":2,"previous":1}}`, `{"end":{"lists":2,"chunks":2}}`},
	"items in no chunk":            {"r", `{"event":{"id":"$a","raw":{}}}`, `{"list":{"kind":"room"}}`, `{"items":{"events":["$a"]}}`, `{"end":{"events":1,"lists":1,"items":1}}`},
	"items in a gap":               {"r", `{"event":{"id":"$a","raw":{}}}`, `{"list":{"kind":"room"}}`, `{"chunk":{"id":1,"gap":""}}`, `{"items":{"chunk":1,"events":["$a"]}}`, `{"end":{"events":1,"lists":1,"chunks":1,"items":1}}`},
	"items of another chunk":       {"r", `{"event":{"id":"$a","raw":{}}}`, `{"list":{"kind":"room"}}`, `{"chunk":{"id":1}}`, `{"items":{"chunk":2,"events":["$a"]}}`, `{"end":{"events":1,"lists":1,"chunks":1,"items":1}}`},
	"items that are not the next":  {"r", `{"event":{"id":"$a","raw":{}}}`, `{"list":{"kind":"room"}}`, `{"chunk":{"id":1}}`, `{"items":{"chunk":1,"index":1,"events":["$a"]}}`, `{"end":{"events":1,"lists":1,"chunks":1,"items":1}}`},
	"items of no event":            {"r", `{"list":{"kind":"room"}}`, `{"chunk":{"id":1}}`, `{"items":{"chunk":1,"events":["$a"]}}`, `{"end":{"lists":1,"chunks":1,"items":1}}`},
	"items that are none":          {"r", `{"list":{"kind":"room"}}`, `{"chunk":{"id":1}}`, `{"items":{"chunk":1}}`, `{"end":{"lists":1,"chunks":1}}`},
	"too deep":                     {"r", `{"event":{"id":"$a","raw":{"a":` + strings.Repeat("[", 20_000) + strings.Repeat("]", 20_000) + `}}}`, `{"end":{"events":1}}`},
}

func joined(lines []string) string {
	var b strings.Builder
	for _, line := range lines {
		if line == "r" {
			line = `{"quiesce_event_cache":1,"room":"!r"}`
		}
		b.WriteString(line + "\n")
	}
	return b.String()
}

func TestExportThatIsNoneIsRefused(t *testing.T) {
	for name, lines := range wrong {
		if _, _, err := read(strings.NewReader(joined(lines))); !errors.Is(err, eventcache.ErrExport) {
			t.Errorf("%s: the error must match ErrExport, it is %v", name, err)
		}
	}
	right := joined([]string{"r", `{"event":{"id":"$a","raw":{}}}`, `{"list":{"kind":"room"}}`, `{"chunk":{"id":1}}`, `{"items":{"chunk":1,"events":["$a"]}}`, `{"end":{"events":1,"lists":1,"chunks":1,"items":1}}`})
	if _, _, err := read(strings.NewReader(right)); err != nil {
		t.Errorf("what is like the wrong ones, and right, must be read: %v", err)
	}
}

func TestExportIsRefusedForTheReasonOfTheContract(t *testing.T) {
	for name, want := range map[string]error{
		"an event without an id": eventcache.ErrNoEventID, "an event that is a list": eventcache.ErrNotJSON, "half a relation": eventcache.ErrRelation,
		"a thread without a root": eventcache.ErrLinkedChunkID, "a chunk numbered 0": eventcache.ErrChunkID, "an empty room": eventcache.ErrNoRoomID,
	} {
		if _, _, err := read(strings.NewReader(joined(wrong[name]))); !errors.Is(err, want) {
			t.Errorf("%s: the error must match %q too, it is %v", name, want, err)
		}
	}
}

// endless is a line without an end.
type endless struct{ read int }

var spaces = bytes.Repeat([]byte(" "), 64<<10)

func (e *endless) Read(p []byte) (int, error) {
	n := copy(p, spaces)
	e.read += n
	return n, nil
}

func TestExportLineHasALimit(t *testing.T) {
	limit := 200_000 // more than a buffer
	event := func(n int) eventcache.ExportEvent {
		const around = len(`{"event":{"id":"$a","raw":{"a":""}}}`)
		return eventcache.ExportEvent{Event: eventcache.Event{ID: "$a", Raw: json.RawMessage(`{"a":"` + strings.Repeat("x", n-around) + `"}`)}}
	}
	encode := func(lines ...eventcache.ExportLine) error {
		enc := eventcache.NewEncoder(io.Discard, "!r")
		enc.SetLimit(limit)
		for _, line := range lines {
			if err := enc.Write(line); err != nil {
				if again := enc.End(); again != err {
					t.Errorf("after a line was refused the export cannot be ended; the error was %v", again)
				}
				return err
			}
		}
		return enc.End()
	}
	if err := encode(event(limit)); err != nil {
		t.Errorf("a line that is as long as can be must be written: %v", err)
	}
	for name, lines := range map[string][]eventcache.ExportLine{
		"an event that is one byte too long": {event(limit + 1)},
		"an event that is much too long":     {event(3 * limit)},
		"a token of which JSON makes much more": {eventcache.ExportList{List: eventcache.Room("!r")},
			eventcache.ExportChunk{ID: 1, Gap: &eventcache.Gap{Token: strings.Repeat("\x00", limit/3)}}},
	} {
		if err := encode(lines...); !errors.Is(err, eventcache.ErrExport) {
			t.Errorf("%s must be refused with ErrExport, not with %v", name, err)
		}
	}
	for n, want := range map[int]error{limit: io.EOF, limit + 1: eventcache.ErrExport} {
		dec := eventcache.NewDecoder(bytes.NewReader(write(t, "!r", event(n))))
		dec.SetLimit(limit)
		line, err := dec.Next()
		if err == nil {
			_, err = dec.Next()
		}
		if !errors.Is(err, want) || (line != nil) != (want == io.EOF) {
			t.Errorf("a line can have %d bytes, one has %d: the error must be %v, it is %v", limit, n, want, err)
		}
	}
}

func TestExportLineWithoutEndIsNotRead(t *testing.T) {
	var e endless
	if _, _, err := read(&e); !errors.Is(err, eventcache.ErrExport) {
		t.Errorf("a line without an end must be refused with ErrExport, not with %v", err)
	}
	if e.read > eventcache.MaxExportLine+1<<20 {
		t.Errorf("of a line without an end %d bytes were read; %d is the limit", e.read, eventcache.MaxExportLine)
	}
}

// TestExportRefusesWhatItCouldNotRead: for every line that is no place of its own the
// Encoder says so, as the Decoder would.
func TestExportRefusesWhatItCouldNotRead(t *testing.T) {
	event := eventcache.ExportEvent{Event: eventcache.Event{ID: "$a", Raw: json.RawMessage(`{}`)}}
	list, chunk := eventcache.ExportList{List: eventcache.Room("!r")}, eventcache.ExportChunk{ID: 1}
	for name, lines := range map[string][]eventcache.ExportLine{
		"nil":                    {nil},
		"an event without an id": {eventcache.ExportEvent{}},
		"an event twice":         {event, event},
		"a thread without root":  {eventcache.ExportThread{}},
		"another room's list":    {eventcache.ExportList{List: eventcache.Room("!s")}, chunk},
		"a chunk in no list":     {chunk},
		"items in no chunk":      {event, list, eventcache.ExportItems{Events: []id.EventID{"$a"}}},
		"items not known":        {list, chunk, eventcache.ExportItems{At: eventcache.Position{Chunk: 1}, Events: []id.EventID{"$a"}}},
		"no last chunk":          {list, eventcache.ExportChunk{ID: 1, Next: 2}},
	} {
		enc := eventcache.NewEncoder(io.Discard, "!r")
		var err error
		for _, line := range lines {
			err = errors.Join(err, enc.Write(line))
		}
		if err = errors.Join(err, enc.End()); !errors.Is(err, eventcache.ErrExport) {
			t.Errorf("%s: the Encoder's error must match ErrExport, it is %v", name, err)
		}
	}
	if err := eventcache.NewEncoder(io.Discard, "").End(); !errors.Is(err, eventcache.ErrExport) || !errors.Is(err, eventcache.ErrNoRoomID) {
		t.Errorf("an export of no room must be refused with ErrExport and ErrNoRoomID, not with %v", err)
	}
}

// TestExportIsNotBlamedForItsReader: what fails below is told as it is.
func TestExportIsNotBlamedForItsReader(t *testing.T) {
	whole := write(t, "!r", small()...)
	broken := errors.New("the disk is gone")
	for _, n := range []int{0, 10, len(whole) / 2, len(whole)} {
		r := io.MultiReader(bytes.NewReader(whole[:n]), iotest.ErrReader(broken))
		if _, _, err := read(r); !errors.Is(err, broken) || errors.Is(err, eventcache.ErrExport) {
			t.Errorf("the reader fails after %d bytes: the error must be its own and not ErrExport, it is %v", n, err)
		}
	}
	enc := eventcache.NewEncoder(failing{broken}, "!r")
	err := enc.Write(small()[0])
	if err = errors.Join(err, enc.End()); !errors.Is(err, broken) || errors.Is(err, eventcache.ErrExport) {
		t.Errorf("the writer fails: the error must be its own and not ErrExport, it is %v", err)
	}
	if _, lines, err := read(iotest.OneByteReader(bytes.NewReader(whole))); err != nil || len(lines) != len(small()) {
		t.Errorf("a reader that gives one byte at a time gave %d lines and the error %v", len(lines), err)
	}
}

type failing struct{ err error }

func (f failing) Write([]byte) (int, error) { return 0, f.err }

func TestExportErrorsStay(t *testing.T) {
	dec := eventcache.NewDecoder(strings.NewReader(joined([]string{"r", "{}", `{"end":{}}`})))
	_, first := dec.Next()
	_, second := dec.Next()
	if first == nil || second != first {
		t.Errorf("Next must return its error again; it returned %v, then %v", first, second)
	}
	dec = eventcache.NewDecoder(bytes.NewReader(write(t, "!r")))
	for range 2 {
		if _, err := dec.Next(); err != io.EOF {
			t.Errorf("at the end Next must return io.EOF, each time; it returned %v", err)
		}
	}
	if room, err := dec.Room(); room != "!r" || err != nil {
		t.Errorf("Room must be known at the end as well; it is %q, %v", room, err)
	}
	enc := eventcache.NewEncoder(io.Discard, "!r")
	if err := enc.End(); err != nil {
		t.Fatal(err)
	}
	if enc.Write(small()[0]) == nil || enc.End() == nil {
		t.Error("after End an Encoder must write nothing any more, and say so")
	}
}

// FuzzDecoder: whatever somebody gives to Import, it is an export or ErrExport; what
// is one is the same export when it is written again.
func FuzzDecoder(f *testing.F) {
	f.Add(write(f, "!r", small()...))
	f.Add(write(f, "!r"))
	for _, lines := range wrong {
		f.Add([]byte(joined(lines)))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		room, lines, err := read(bytes.NewReader(b))
		if err != nil {
			if !errors.Is(err, eventcache.ErrExport) {
				t.Fatalf("the error of what is no export must match ErrExport, it is %v", err)
			}
			return
		}
		again := write(t, room, lines...)
		room2, lines2, err := read(bytes.NewReader(again))
		if err != nil || room2 != room {
			t.Fatalf("what was read, and written again, is no export of %q: %q, %v\n%s", room, room2, err, again)
		}
		if diff := cmp.Diff(lines, lines2); diff != "" {
			t.Fatalf("what was read, and written again, says something else:\n%s", diff)
		}
	})
}

func BenchmarkExport(b *testing.B) {
	var lines []eventcache.ExportLine
	for i := range 1000 {
		e := eventcache.Event{ID: id.EventID(fmt.Sprint("$", i)), Type: "m.room.message"}
		e.Raw = json.RawMessage(fmt.Sprintf(`{"event_id":%q,"type":"m.room.message","content":{"body":%q}}`, e.ID, strings.Repeat("x", 800)))
		lines = append(lines, eventcache.ExportEvent{Event: e})
	}
	export := write(b, "!r", lines...)
	b.Run("Encode", func(b *testing.B) {
		b.SetBytes(int64(len(export)))
		for b.Loop() {
			enc := eventcache.NewEncoder(io.Discard, "!r")
			for _, line := range lines {
				if err := enc.Write(line); err != nil {
					b.Fatal(err)
				}
			}
		}
	})
	b.Run("Decode", func(b *testing.B) {
		b.SetBytes(int64(len(export)))
		for b.Loop() {
			if _, _, err := read(bytes.NewReader(export)); err != nil {
				b.Fatal(err)
			}
		}
	})
}
