package eventcachetest

// Rooms as they leave a store and come into another.

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"maunium.net/go/mautrix/id"

	"github.com/quiesce-go/quiesce/matrixstores/eventcache"
)

var transferCases = []Case{
	{
		Name:    "export-and-import",
		Promise: "an export that is imported, into another store or over whatever is there, is the same room again: events, their order, threads, linked chunks of every kind, gaps",
		Origins: from("contract"), run: caseTransfer,
	},
	{
		Name:    "export-of-an-unknown-room",
		Promise: "the export of a room that is not known is one line, and importing it clears the room",
		Origins: from("contract"), run: caseTransferNothing,
	},
	{
		Name:    "broken-exports",
		Promise: "what is no whole export (cut off, changed, in another order, of another version) is ErrExport, and nothing has changed",
		Origins: from("contract"), run: caseTransferBroken,
	},
	{
		Name:    "readers-and-writers-that-fail",
		Promise: "an error of the reader or the writer comes back as itself, and not as ErrExport; Import has changed nothing then",
		Origins: from("contract"), run: caseTransferErrors,
	},
	{
		Name:    "export-of-one-moment",
		Promise: "an export is of one moment, whatever is written while it is read",
		Origins: from("contract"), run: caseTransferMoment,
	},
}

// variedRoom fills a room with something of everything.
func variedRoom(s *subject, room id.RoomID) {
	everyKind(s, room)
	strange := ev("$\xff strange \x00", typed("\xfe"), session("\xfd"), relates("$\xfc", "\xfb"), rawly("{\n\"a\":\"\xff\"}"), meta(&eventcache.Meta{PushActions: evActions()}))
	s.apply(eventcache.Room(room), gap(0, 8, 1, "\xff\x00 token"), gap(2, 3, 0, ""), items(3, eventcache.MaxChunkID, 0), items(eventcache.MaxChunkID, 4, 0),
		push(4, 0, everyField("$every"), strange, ev("$shared")))
	s.apply(eventcache.Thread(room, "$\xff"), items(0, 1, 0))
	s.p.Must("RememberThread", s.RememberThread(s.p.Ctx, room, "$late"))
}

func caseTransfer(p *probe) {
	s := p.open()
	variedRoom(s, roomA)
	s.save(roomB, ev("$b"))
	export := s.export(roomA)
	original := s.dump()
	other := p.openWith(p.Dir(), p.options())
	load := func(what string) {
		room, err := other.Import(p.Ctx, bytes.NewReader(export))
		p.Must(what, err)
		if room != roomA {
			p.Broken("%s: Import returned the room %q, and the export is of %q", what, room, roomA)
		}
		if got := other.dump(); !got.is(original) {
			p.Broken("%s: the other store has something else than the first:\n%s", what, difference(original.text(), got.text()))
		}
		other.agree()
	}
	other.save(roomB, ev("$b"))
	load("into a store that does not know the room")
	load("over itself")
	// Over a room that has something else in every place.
	p.Must("ClearRoom", other.ClearRoom(p.Ctx, roomA))
	other.save(roomA, ev("$z"), ev("$every", body("old")), ev("$shared", relates("$shared", "m.x"), session("old")))
	for _, list := range append(listsIn(roomA), eventcache.Thread(roomA, "$old"), eventcache.Focused(roomA, "$old")) {
		other.apply(list, gap(0, 1, 0, "old"), items(1, 2, 0), push(2, 0, ev("$old"), ev("$shared", body("old"))), items(2, 77, 0))
	}
	load("over a room that had something else")
	other.noEvent(roomA, "$old")
	other.relations(roomA, "$shared", nil, "$saved@-")
	// It goes on from there as a room that was never exported.
	other.apply(eventcache.Room(roomA), push(4, 3, ev("$z"), ev("$new")), drop(3))
	other.list(eventcache.Room(roomA), "8(\xff\x00 token) 1[$shared $in0] 2(token) 9223372036854775807[] 4[$every $\xff strange \x00 $shared $z $new]")
	events, err := other.FindEvents(p.Ctx, roomA, eventcache.Filter{})
	p.Must("FindEvents", err)
	if n := len(events); n < 2 || ids(events[n-2:]) != "$z $new" {
		p.Broken("what was stored after an import does not come last: %s", ids(events))
	}
	// And an export of an import is the same.
	p.Must("ClearAll", other.ClearAll(p.Ctx))
	if _, err := other.Import(p.Ctx, bytes.NewReader(export)); err != nil {
		p.Fatal("Import: %v", err)
	}
	again := other.export(roomA)
	p.Must("ClearRoom", s.ClearRoom(p.Ctx, roomA))
	if _, err := s.Import(p.Ctx, bytes.NewReader(again)); err != nil {
		p.Fatal("Import of the export of an import: %v", err)
	}
	s.unchanged("an export, an import and both again", original)
}

func caseTransferNothing(p *probe) {
	s := p.open()
	export := s.export(roomA)
	if bytes.Count(export, []byte("\n")) != 1 || !bytes.HasSuffix(export, []byte("\n")) {
		p.Broken("the export of a room that is not known is not one line: %q", export)
	}
	s.save(roomB, ev("$b"))
	room, err := s.Import(p.Ctx, bytes.NewReader(export))
	p.Must("Import", err)
	if room != roomA {
		p.Broken("Import returned the room %q and not %q", room, roomA)
	}
	s.empty(roomA)
	everyKind(s, roomA)
	_, err = s.Import(p.Ctx, bytes.NewReader(export))
	p.Must("Import", err)
	s.empty(roomA)
	s.event(roomB, ev("$b"))
}

func caseTransferBroken(p *probe) {
	s := p.open()
	everyKind(s, roomA)
	s.apply(eventcache.Room(roomA), items(2, 3, 0), push(3, 0, everyField("$every")))
	export := string(s.export(roomA))
	p.Must("ClearRoom", s.ClearRoom(p.Ctx, roomA))
	s.fill(eventcache.Room(roomA), evs("$present", "$shared")...)
	s.fill(eventcache.Focused(roomA, "$f"), evs("$present")...)
	s.save(roomB, ev("$b"))
	present := s.dump()

	try := func(what, text string) {
		p.About(what, func() {
			// What the format says of it decides: a changed byte may well make another export.
			m := newModel(p.Clock.Now)
			room, wrong := m.Import(p.Ctx, strings.NewReader(text))
			got, err := s.Import(p.Ctx, strings.NewReader(text))
			if wrong != nil {
				p.Is("Import", err, eventcache.ErrExport)
				s.unchanged("Import, which was refused,", present)
				return
			}
			p.Must("Import of a whole export", err)
			if got != room {
				p.Broken("Import returned the room %q, and the export is of %q", got, room)
			}
			if want, is := m.room(room).text(), p.exported(s.Store, room).text(); want != is {
				p.Broken("after Import the room has something else than the export:\n%s", difference(want, is))
			}
			// As it was before.
			p.Must("ClearAll", s.ClearAll(p.Ctx))
			s.fill(eventcache.Room(roomA), evs("$present", "$shared")...)
			s.fill(eventcache.Focused(roomA, "$f"), evs("$present")...)
			s.save(roomB, ev("$b"))
		})
	}
	lines := strings.SplitAfter(strings.TrimSuffix(export, "\n"), "\n")
	step := p.count(5, 3, 1, 1)
	for i := rand.IntN(step); i < len(lines); i += step {
		try(fmt.Sprintf("without all lines from %d on", i+1), strings.Join(lines[:i], ""))
		try(fmt.Sprintf("cut off in line %d", i+1), strings.Join(lines[:i], "")+lines[i][:len(lines[i])/2])
		without := slices.Delete(slices.Clone(lines), i, i+1)
		try(fmt.Sprintf("without line %d", i+1), strings.Join(without, ""))
		try(fmt.Sprintf("with line %d twice", i+1), strings.Join(slices.Insert(slices.Clone(lines), i, lines[i]), ""))
		if i > 0 {
			swapped := slices.Clone(lines)
			swapped[i-1], swapped[i] = swapped[i], swapped[i-1]
			try(fmt.Sprintf("with the lines %d and %d exchanged", i, i+1), strings.Join(swapped, ""))
		}
	}
	for what, text := range map[string]string{
		"nothing": "", "an empty line": "\n", "no JSON": "export", "an array": "[]", "null": "null",
		"another object":       `{"room":"!a:example.org"}` + "\n",
		"another version":      strings.Replace(export, `"quiesce_event_cache":1`, `"quiesce_event_cache":2`, 1),
		"no room":              strings.Replace(export, `!a:example.org`, ``, 1),
		"something after it":   export + "{}\n",
		"it twice":             export + export,
		"a mark before it":     "\xef\xbb\xbf" + export,
		"an event without id":  strings.Replace(export, `"id":"$saved"`, `"id":""`, 1),
		"an event of no JSON":  strings.Replace(export, `"raw":{`, `"raw":[],"x":{`, 1),
		"a chunk of number 0":  strings.Replace(export, `"chunk":{"id":1,`, `"chunk":{"id":0,`, 1),
		"a huge chunk number":  strings.Replace(export, `"chunk":{"id":1,`, `"chunk":{"id":18446744073709551615,`, 1),
		"a gap that has items": strings.Replace(export, `"next":2}}`, `"next":2,"gap":"x"}}`, 1),
		"an unknown kind":      strings.Replace(export, `"kind":"pinned"`, `"kind":"other"`, 1),
		"an unknown item":      strings.Replace(export, `"events":["$shared"`, `"events":["$nobody"`, 1),
	} {
		if text == export {
			p.Fatal("the suite is at fault: %q changes nothing", what)
		}
		try(what, text)
	}
	step = p.count(499, 211, 3, 1)
	for i := rand.IntN(step); i < len(export); i += step {
		b := []byte(export)
		b[i] ^= 1 << (i % 8)
		try(fmt.Sprintf("with byte %d changed", i), string(b))
	}
}

var errOfReader, errOfWriter = errors.New("the reader's own error"), errors.New("the writer's own error")

// failing reads or writes so many bytes and then fails.
type failing struct {
	r    io.Reader
	left int
}

func (f *failing) Read(b []byte) (int, error) {
	if f.left == 0 {
		return 0, errOfReader
	}
	n, err := f.r.Read(b[:min(len(b), f.left)])
	f.left -= n
	return n, err
}

func (f *failing) Write(b []byte) (int, error) {
	if len(b) > f.left {
		n := f.left
		f.left = 0
		return n, errOfWriter
	}
	f.left -= len(b)
	return len(b), nil
}

func caseTransferErrors(p *probe) {
	s := p.open()
	variedRoom(s, roomA)
	export := s.export(roomA)
	p.Must("ClearRoom", s.ClearRoom(p.Ctx, roomA))
	s.fill(eventcache.Room(roomA), evs("$present")...)
	before := s.dump()
	for _, after := range []int{0, 1, len(export) / 3, len(export) / 2, len(export) - 1, len(export)} {
		p.About(fmt.Sprintf("a reader that fails after %d of %d bytes", after, len(export)), func() {
			_, err := s.Import(p.Ctx, &failing{bytes.NewReader(export), after})
			if p.Is("Import", err, errOfReader) && errors.Is(err, eventcache.ErrExport) {
				p.Broken("Import returned ErrExport for an error of the reader: %v", err)
			}
			s.unchanged("Import, which failed,", before)
		})
	}
	if _, err := s.Import(p.Ctx, bytes.NewReader(export)); err != nil {
		p.Fatal("Import after imports that failed: %v", err)
	}
	whole := s.dump()
	big := ev("$big", body(strings.Repeat("x", 300_000)))
	s.save(roomB, big, ev("$other"))
	for _, room := range []id.RoomID{roomA, roomB} {
		size := len(s.export(room))
		for _, after := range []int{0, 1, size / 2, size - 1} {
			p.About(fmt.Sprintf("a writer that fails after %d of %d bytes", after, size), func() {
				err := s.Export(p.Ctx, room, &failing{left: after})
				if p.Is("Export", err, errOfWriter) && errors.Is(err, eventcache.ErrExport) {
					p.Broken("Export returned ErrExport for an error of the writer: %v", err)
				}
			})
		}
	}
	p.Must("ClearRoom", s.ClearRoom(p.Ctx, roomB))
	s.unchanged("Export, which failed,", whole)
	// A context that ends while it is read.
	ctx, cancel := context.WithCancel(p.Ctx)
	defer cancel()
	_, err := s.Import(ctx, io.MultiReader(bytes.NewReader(export[:len(export)/2]), calling(cancel), bytes.NewReader(export[len(export)/2:])))
	if err == nil {
		p.Broken("Import returned no error, and its context had ended before everything was read")
	}
	s.unchanged("Import, of which the context had ended,", whole)
}

// calling is a reader of nothing that calls a function when it is read.
type calling func()

func (c calling) Read([]byte) (int, error) { c(); return 0, io.EOF }

// slowly calls a function after the first bytes that it was given.
type slowly struct {
	bytes.Buffer
	once func()
}

func (w *slowly) Write(b []byte) (int, error) {
	if once := w.once; once != nil {
		w.once = nil
		once()
	}
	return w.Buffer.Write(b)
}

// manyEvents are more than anybody gathers before writing.
func manyEvents(s *subject, room id.RoomID, version string) {
	long := strings.Repeat(version+" ", 4000/len(version+" "))
	var all []eventcache.Event
	for _, which := range numbered("many", 70) {
		all = append(all, ev(which, body(long)))
	}
	s.save(room, all...)
}

func caseTransferMoment(p *probe) {
	s := p.open()
	manyEvents(s, roomA, "old")
	s.fill(eventcache.Room(roomA), evs("$in")...)
	old := string(s.export(roomA))
	var changed <-chan struct{}
	w := &slowly{once: func() {
		changed = p.Go(func() {
			s.apply(eventcache.Room(roomA), eventcache.Clear{})
			manyEvents(s, roomA, "new")
		})
		select { // a store may let the writer wait for the export; then it comes later
		case <-changed:
		case <-time.After(min(p.Soon, 5*time.Second)):
		}
	}}
	p.Must("Export while the room is changed", s.Export(p.Ctx, roomA, w))
	if changed == nil {
		p.Fatal("Export returned nil, and has written nothing")
	}
	<-changed
	if got := w.String(); got != old {
		p.Broken("what was changed while the export was written is in it (%d bytes; it would have been %d):\n%s", len(got), len(old), difference(old, got))
	}
	if now := string(s.export(roomA)); now == old {
		p.Broken("what was written while an export was read is lost")
	}
}
