package eventcachetest

// The store as cases ask it: every method that can fail only if a promise is broken, and
// comparisons that ask the same in all ways that there are.

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"

	"github.com/quiesce-go/quiesce/conformance"
	"github.com/quiesce-go/quiesce/conformance/internal/trial"
	"github.com/quiesce-go/quiesce/internal/tier"
	"github.com/quiesce-go/quiesce/matrixstores/eventcache"
)

// probe is one case that runs.
type probe struct {
	*trial.T
	h *Harness
}

// count is how often something is done, for the tier that runs and the harness.
func (p *probe) count(brief, short, full, soak int) int {
	if p.h.Brief {
		short = brief
	}
	return tier.Count(short, full, soak)
}

func (p *probe) has(c conformance.Capability) bool { return p.h.lacks(needs(c)) == "" }

// options are those of a store of which nothing special is wanted.
func (p *probe) options() Options {
	return Options{Clock: p.Clock.Now, Timeout: 30 * time.Second, Grace: 10 * time.Second}
}

// open opens a store in a directory of its own.
func (p *probe) open() *subject { return p.openWith(p.Dir(), p.options()) }

// openWith opens the store in dir. It is closed at the end of the case, if it is not closed before.
func (p *probe) openWith(dir string, o Options) *subject {
	store, err := p.h.Open(p.Ctx, dir, o)
	if err != nil {
		p.Fatal("the store could not be opened: %v", err)
	}
	p.After(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(p.Ctx), 30*time.Second)
		defer cancel()
		if err := store.Close(ctx); err != nil {
			p.Broken("Close at the end of the case: %v", err)
		}
	})
	return &subject{Store: store, p: p, dir: dir}
}

// subject is the store that a case is about.
type subject struct {
	eventcache.Store
	p   *probe
	dir string
}

// close closes the store, in the midst of a case.
func (s *subject) close() { s.p.Must("Close", s.Close(s.p.Ctx)) }

// apply applies updates that fit.
func (s *subject) apply(list eventcache.LinkedChunkID, updates ...eventcache.Update) {
	if err := s.Apply(s.p.Ctx, list, updates); err != nil {
		s.p.Fatal("Apply of updates that fit, to %s, returned: %v", short(list.String()), err)
	}
}

// fill puts events into a linked chunk that has none, as chunk 1.
func (s *subject) fill(list eventcache.LinkedChunkID, events ...eventcache.Event) {
	s.apply(list, items(0, 1, 0), push(1, 0, events...))
}

func (s *subject) save(room id.RoomID, events ...eventcache.Event) {
	s.p.Must("SaveEvents", s.SaveEvents(s.p.Ctx, room, events...))
}

func (s *subject) chunks(list eventcache.LinkedChunkID) []eventcache.Chunk {
	chunks, err := s.LoadAllChunks(s.p.Ctx, list)
	s.p.Must("LoadAllChunks", err)
	return chunks
}

// list compares a linked chunk with its shape, as every method that reads one shows it.
func (s *subject) list(list eventcache.LinkedChunkID, want string) bool {
	p, ok := s.p, true
	name := short(list.String())
	bad := func(format string, args ...any) {
		ok = false
		p.Broken("%s: %s", name, fmt.Sprintf(format, args...))
	}
	chunks := s.chunks(list)
	if got := shape(chunks); got != want {
		bad("LoadAllChunks returned\n%s\nand not\n%s", short(got), short(want))
	}
	var before, highest eventcache.ChunkID
	var places []eventcache.Place
	var asked []id.EventID
	for i, c := range chunks {
		var next eventcache.ChunkID
		if i+1 < len(chunks) {
			next = chunks[i+1].ID
		}
		if c.Previous != before || c.Next != next {
			bad("LoadAllChunks: chunk %d has the neighbours %d and %d, and stands between %d and %d", c.ID, c.Previous, c.Next, before, next)
		}
		before, highest = c.ID, max(highest, c.ID)
		for n, e := range c.Items {
			places = append(places, eventcache.Place{Event: e.ID, At: at(c.ID, n)})
			asked = append(asked, e.ID)
		}
	}
	metadata, err := s.LoadAllMetadata(p.Ctx, list)
	p.Must("LoadAllMetadata", err)
	if wanted := metadataOf(chunks); !slices.Equal(metadata, wanted) {
		bad("LoadAllMetadata returned\n%+v\nand LoadAllChunks\n%+v", metadata, wanted)
	}
	// From the end backwards.
	c, high, err := s.LoadLastChunk(p.Ctx, list)
	p.Must("LoadLastChunk", err)
	if high != highest {
		bad("LoadLastChunk says that the highest number is %d; it is %d", high, highest)
	}
	for i := len(chunks) - 1; i >= 0; i-- {
		if c == nil || !sameChunks([]eventcache.Chunk{*c}, chunks[i:i+1]) {
			bad("from the end backwards there is %s\nwhere LoadAllChunks has %s", short(shapeOf(c)), short(shapeOf(&chunks[i])))
			return false
		}
		c, err = s.LoadPreviousChunk(p.Ctx, list, c.ID)
		p.Must("LoadPreviousChunk", err)
	}
	if c != nil {
		bad("before the first chunk, or in a list without chunks, there is %s", short(shapeOf(c)))
	}
	slices.SortStableFunc(places, func(a, b eventcache.Place) int { return compareChunks(a.At, b.At) })
	found, err := s.FindDuplicates(p.Ctx, list, asked)
	p.Must("FindDuplicates", err)
	if !slices.Equal(found, places) {
		bad("FindDuplicates, asked for every event that is there, returned\n%s\nand not\n%s", short(placed(found)), short(placed(places)))
	}
	return ok
}

func compareChunks(a, b eventcache.Position) int {
	switch {
	case a.Chunk < b.Chunk:
		return -1
	case a.Chunk > b.Chunk:
		return 1
	}
	return a.Index - b.Index
}

func compareLists(a, b eventcache.LinkedChunkID) int { return slices.Compare(a.Key(), b.Key()) }

func metadataOf(chunks []eventcache.Chunk) []eventcache.ChunkMetadata {
	var all []eventcache.ChunkMetadata
	for _, c := range chunks {
		all = append(all, eventcache.ChunkMetadata{ID: c.ID, Previous: c.Previous, Next: c.Next, IsGap: c.Gap != nil, Items: len(c.Items)})
	}
	return all
}

// sameChunks compares everything, but takes nil and empty for the same.
func sameChunks(a, b []eventcache.Chunk) bool {
	return slices.EqualFunc(a, b, func(a, b eventcache.Chunk) bool {
		gaps := (a.Gap == nil) == (b.Gap == nil) && (a.Gap == nil || *a.Gap == *b.Gap)
		return a.ID == b.ID && a.Previous == b.Previous && a.Next == b.Next && gaps && slices.EqualFunc(a.Items, b.Items, sameEvent)
	})
}

// sameEvent compares every field of two events.
func sameEvent(a, b eventcache.Event) bool {
	same := bytes.Equal(a.Raw, b.Raw) && reflect.DeepEqual(a.Meta, b.Meta)
	a.Raw, b.Raw, a.Meta, b.Meta = nil, nil, nil, nil
	return same && reflect.DeepEqual(a, b)
}

// event compares an event with what was stored.
func (s *subject) event(room id.RoomID, want eventcache.Event) {
	got, found, err := s.FindEvent(s.p.Ctx, room, want.ID)
	s.p.Must("FindEvent", err)
	switch {
	case !found:
		s.p.Broken("FindEvent does not find %s in %s, which was stored there", short(string(want.ID)), short(string(room)))
	case !sameEvent(got, want):
		s.p.Broken("FindEvent returned for %s another event than was stored:\n%s\nand not\n%s", short(string(want.ID)), draw(got), draw(want))
	}
}

// draw shows every field of an event.
func draw(e eventcache.Event) string {
	text := fmt.Sprintf("%q type %q session %q relates %q %q raw %q", e.ID, e.Type, e.Session, e.RelatesTo, e.RelType, e.Raw)
	if e.Meta != nil {
		if b, err := e.Meta.MarshalJSON(); err == nil {
			text += " meta " + string(b)
		}
	}
	if len(text) > 2000 {
		text = text[:2000] + fmt.Sprintf("… (%d bytes)", len(text))
	}
	return text
}

// noEvent checks that the room does not know an event.
func (s *subject) noEvent(room id.RoomID, which id.EventID) {
	got, found, err := s.FindEvent(s.p.Ctx, room, which)
	s.p.Must("FindEvent", err)
	if found {
		s.p.Broken("FindEvent finds %s in %s, which is not known there: %s", short(string(which)), short(string(room)), draw(got))
	}
}

// events compares what FindEvents returns with ids, in their order.
func (s *subject) events(room id.RoomID, f eventcache.Filter, want string) {
	got, err := s.FindEvents(s.p.Ctx, room, f)
	s.p.Must("FindEvents", err)
	if ids(got) != want {
		s.p.Broken("FindEvents(%s, %+v) returned\n%s\nand not\n%s", short(string(room)), f, short(ids(got)), short(want))
	}
}

// relations compares what FindRelations returns with a drawing: $a@1:0 $b@-.
func (s *subject) relations(room id.RoomID, to id.EventID, types []event.RelationType, want string) {
	got, err := s.FindRelations(s.p.Ctx, room, to, types)
	s.p.Must("FindRelations", err)
	if relation(got) != want {
		s.p.Broken("FindRelations(%s, %s, %#v) returned\n%s\nand not\n%s", short(string(room)), short(string(to)), types, short(relation(got)), short(want))
	}
}

// duplicates compares what FindDuplicates returns with a drawing: $a@1:0 $b@2:3.
func (s *subject) duplicates(list eventcache.LinkedChunkID, ask []id.EventID, want string) {
	got, err := s.FindDuplicates(s.p.Ctx, list, ask)
	s.p.Must("FindDuplicates", err)
	if placed(got) != want {
		s.p.Broken("FindDuplicates(%s, %d ids) returned\n%s\nand not\n%s", short(list.String()), len(ask), short(placed(got)), short(want))
	}
}

// threads compares the threads of a room, in their order.
func (s *subject) threads(room id.RoomID, want ...id.EventID) {
	got, err := s.Threads(s.p.Ctx, room)
	s.p.Must("Threads", err)
	if !slices.Equal(got, want) {
		s.p.Broken("Threads(%s) returned %q and not %q", short(string(room)), got, want)
	}
}

// stats compares how much there is of a room.
func (s *subject) stats(want eventcache.RoomStats) {
	got, err := s.RoomStats(s.p.Ctx, want.Room)
	s.p.Must("RoomStats", err)
	if got != want {
		s.p.Broken("RoomStats returned %+v and not %+v", got, want)
	}
}

func (s *subject) export(room id.RoomID) []byte {
	var b bytes.Buffer
	s.p.Must("Export", s.Export(s.p.Ctx, room, &b))
	return b.Bytes()
}

// contents is what a store has, as the model has it, too.
type contents interface {
	eventcache.Chunks
	eventcache.Events
	eventcache.Rooms
	eventcache.Transfer
}

// dump is everything that a store has, of the rooms that it lists and of those that are named, to be
// compared before and after and with that of another store. It is read in few calls, since
// it is read often; that other methods say the same is for agree to find out.
func (s *subject) dump(rooms ...id.RoomID) *dumped { return dump(s.p, s.Store, rooms...) }

type dumped struct {
	p     *probe
	stats string
	rooms [][]byte // their exports
}

func dump(p *probe, s contents, rooms ...id.RoomID) *dumped {
	d := &dumped{p: p}
	all, err := s.AllRoomStats(p.Ctx)
	p.Must("AllRoomStats", err)
	for _, stats := range all {
		d.stats += fmt.Sprintf("stats of %q: %+v\n", stats.Room, stats)
		rooms = append(rooms, stats.Room)
	}
	slices.Sort(rooms)
	for _, room := range slices.Compact(rooms) {
		d.rooms = append(d.rooms, mustExport(p, s, room))
	}
	return d
}

// is tells whether two dumps say the same. Two exports of the same need not be the same bytes, but most often are.
func (d *dumped) is(other *dumped) bool {
	return d.stats == other.stats && slices.EqualFunc(d.rooms, other.rooms, bytes.Equal) || d.text() == other.text()
}

// text is a dump in words.
func (d *dumped) text() string {
	var b strings.Builder
	b.WriteString(d.stats)
	for _, export := range d.rooms {
		b.WriteString(d.p.imported(export).text())
	}
	return b.String()
}

// exported is a room as Export writes it.
func (p *probe) exported(s contents, room id.RoomID) *modelRoom {
	return p.imported(mustExport(p, s, room))
}

func (p *probe) imported(export []byte) *modelRoom {
	m := newModel(time.Now)
	room, err := m.Import(p.Ctx, bytes.NewReader(export))
	if err != nil {
		p.Fatal("what Export has written cannot be read: %v", err)
	}
	return m.room(room)
}

func mustExport(p *probe, s contents, room id.RoomID) []byte {
	var b bytes.Buffer
	p.Must("Export", s.Export(p.Ctx, room, &b))
	return b.Bytes()
}

// text is everything of a room.
func (r *modelRoom) text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "threads %q\n", r.threads)
	for _, e := range r.sorted() {
		fmt.Fprintf(&b, "event %s\n", draw(e.Event))
	}
	for _, list := range slices.SortedFunc(maps.Keys(r.lists), compareLists) {
		fmt.Fprintf(&b, "list %q: %s\n", list, shape(r.chunks(list)))
	}
	return b.String()
}

// agree checks that every method that reads says of these rooms, and of those that the store lists, what Export says.
func (s *subject) agree(rooms ...id.RoomID) {
	p := s.p
	all, err := s.AllRoomStats(p.Ctx)
	p.Must("AllRoomStats", err)
	for _, stats := range all {
		s.stats(stats)
		rooms = append(rooms, stats.Room)
	}
	slices.Sort(rooms)
	for _, room := range slices.Compact(rooms) {
		r := p.exported(s.Store, room)
		s.threads(room, r.threads...)
		var events []eventcache.Event
		for _, e := range r.sorted() {
			events = append(events, e.Event)
		}
		found, err := s.FindEvents(p.Ctx, room, eventcache.Filter{})
		p.Must("FindEvents", err)
		if !slices.EqualFunc(found, events, sameEvent) {
			p.Broken("of %s FindEvents returned %s\nand Export has written %s, or not the same events", short(string(room)), short(ids(found)), short(ids(events)))
		}
		related := newModel(time.Now)
		related.put(room, r)
		asked := map[id.EventID]bool{}
		for _, e := range events {
			if e.RelatesTo != "" && !asked[e.RelatesTo] && len(asked) < 20 {
				asked[e.RelatesTo] = true
				all, _ := related.FindRelations(p.Ctx, room, e.RelatesTo, nil)
				s.relations(room, e.RelatesTo, nil, relation(all))
			}
		}
		for list := range r.lists {
			chunks := r.chunks(list)
			if got := s.chunks(list); !sameChunks(got, chunks) {
				p.Broken("of %s LoadAllChunks returned %s\nand Export has written %s, or not the same events", short(list.String()), short(shape(got)), short(shape(chunks)))
			}
			s.list(list, shape(chunks))
		}
	}
}

// unchanged checks that a dump is still the same.
func (s *subject) unchanged(what string, before *dumped, rooms ...id.RoomID) {
	if after := s.dump(rooms...); !after.is(before) {
		s.p.Broken("%s has changed the store:\n%s", what, difference(before.text(), after.text()))
	}
}

// difference shows the lines that are in one text only.
func difference(before, after string) string {
	var b strings.Builder
	was, is := strings.Split(before, "\n"), strings.Split(after, "\n")
	shown := 0
	show := func(mark string, lines, others []string) {
		for _, line := range lines {
			if !slices.Contains(others, line) && shown < 12 {
				shown++
				fmt.Fprintf(&b, "%s %s\n", mark, short(line))
			}
		}
	}
	show("before:", was, is)
	show("after: ", is, was)
	if shown == 0 {
		return fmt.Sprintf("the order is another one\nbefore: %s\nafter:  %s", short(before), short(after))
	}
	return b.String()
}

// refused checks that updates are refused, with what is wrong, and that nothing has changed.
func (s *subject) refused(list eventcache.LinkedChunkID, want eventcache.UpdateError, updates ...eventcache.Update) {
	s.refusedSince(s.dump(list.Room), list, want, updates...)
}

// refusedSince is refused for a store of which there is a dump already.
func (s *subject) refusedSince(before *dumped, list eventcache.LinkedChunkID, want eventcache.UpdateError, updates ...eventcache.Update) {
	p := s.p
	err := s.Apply(p.Ctx, list, updates)
	what := fmt.Sprintf("Apply of %s", drawUpdates(updates))
	if p.Is(what, err, want.Err) {
		var got *eventcache.UpdateError
		switch {
		case !errors.As(err, &got):
			p.Broken("%s returned %q, which is no *eventcache.UpdateError", what, err)
		case got.Number != want.Number || got.Chunk != want.Chunk || got.Index != want.Index || want.Update != "" && got.Update != want.Update:
			p.Broken("%s was refused at the wrong place: number %d (%s), chunk %d, index %d; that is wrong at number %d (%s), chunk %d, index %d",
				what, got.Number, got.Update, got.Chunk, got.Index, want.Number, want.Update, want.Chunk, want.Index)
		}
	}
	s.unchanged(what+", which was refused,", before, list.Room)
}

// drawUpdates says what was asked for. It does not call Name: an update may be none.
func drawUpdates(updates []eventcache.Update) string {
	var all []string
	for _, u := range updates {
		switch u := u.(type) {
		case eventcache.PushItems:
			all = append(all, fmt.Sprintf("PushItems at %v [%s]", u.At, short(ids(u.Items))))
		case eventcache.ReplaceItem:
			all = append(all, fmt.Sprintf("ReplaceItem at %v %s", u.At, short(string(u.Item.ID))))
		case eventcache.NewItemsChunk, eventcache.RemoveChunk, eventcache.RemoveItem, eventcache.DetachLastItems:
			all = append(all, strings.TrimPrefix(fmt.Sprintf("%T%+v", u, u), "eventcache."))
		default:
			all = append(all, strings.TrimPrefix(fmt.Sprintf("%T", u), "eventcache."))
		}
		if len(all) == 20 {
			return fmt.Sprintf("%s and %d more", strings.Join(all, ", "), len(updates)-len(all))
		}
	}
	return strings.Join(all, ", ")
}
