package eventcache

// What an export of a room looks like: the lines, and their order. Every store
// writes it with an Encoder and reads it with a Decoder, so that each can read what
// another has written.
//
// An export is JSON lines:
//
//	{"quiesce_event_cache":1,"room":"!room:example.org"}
//	{"event":{"id":"$a","type":"m.room.message","raw":{…}}}            every event once, in the order first stored
//	{"thread":"$a"}                                                    every thread, in the order known
//	{"list":{"kind":"room"}}                                           every linked chunk, followed by
//	{"chunk":{"id":1,"previous":0,"next":2}}                           its chunks, from the first to the last, each followed by
//	{"items":{"chunk":1,"index":0,"events":["$a"]}}                    what is in it
//	{"chunk":{"id":2,"previous":1,"next":0,"gap":"token"}}
//	{"end":{"events":1,"threads":1,"lists":1,"chunks":2,"items":1}}    how much there was
//
// So whoever reads it can store every line when it comes: it refers to nothing that
// is yet to come but the next chunk. An export of which a part is missing has another end, or none.
// An export of nothing is one line, the first, with the end in it.
//
// A string that is no valid UTF-8 is written as {"base64":"…"}. The JSON of an event stands in
// its line as it is, or, where it is not one line of UTF-8 or is nested in thousands of levels, in "raw_base64" instead
// of "raw": it is the same bytes when it is read again.

import (
	"errors"
	"fmt"

	"maunium.net/go/mautrix/id"
)

// ErrExport is returned for what is no whole export of a room: it is cut off, or
// of another version, or says what no store can hold. Import has changed nothing then. It never
// stands for an error of the reader or the writer itself.
var ErrExport = errors.New("eventcache: this is no whole export of a room")

// MaxExportLine is how long a line of an export can be, in bytes. An event that
// would need a longer one cannot be exported (ErrExport).
const MaxExportLine = 64 << 20

// exportVersion is what the first line says, so that a later format can be told from this one.
const exportVersion = 1

// An items line is begun anew after so many events, or bytes of ids, so that no
// chunk needs a line that is too long.
const (
	itemsPerLine  = 512
	idBytesInLine = 1 << 20
)

// ExportLine is what a line of an export says: one of the types below. They come in the order of the
// types here.
type ExportLine interface{ isExportLine() }

// ExportEvent is an event of the room. Events come first, each once, in the order
// in which they were first stored.
type ExportEvent struct {
	Event Event
}

// ExportThread is a thread that the room knows. Threads come after the events, in
// the order in which they became known; that of a linked chunk is among them.
type ExportThread struct {
	Root id.EventID
}

// ExportList says that the chunks that follow are those of this linked chunk.
type ExportList struct {
	List LinkedChunkID
}

// ExportChunk is the next chunk of a linked chunk, as Chunk has it. The first of each comes first.
type ExportChunk struct {
	ID       ChunkID
	Previous ChunkID
	Next     ChunkID
	Gap      *Gap
}

// ExportItems are the next items of the chunk that came last, which is no gap. A
// chunk has as many of them as it needs. The events have all come before.
type ExportItems struct {
	At     Position
	Events []id.EventID
}

func (ExportEvent) isExportLine()  {}
func (ExportThread) isExportLine() {}
func (ExportList) isExportLine()   {}
func (ExportChunk) isExportLine()  {}
func (ExportItems) isExportLine()  {}

// exportCounts is how much an export says; its last line has it.
type exportCounts struct {
	Events  int `json:"events"`
	Threads int `json:"threads"`
	Lists   int `json:"lists"`
	Chunks  int `json:"chunks"`
	Items   int `json:"items"`
}

// exportRules holds each line to what came before it. Encoder and Decoder
// both keep them: an export that was written can be read.
type exportRules struct {
	room    id.RoomID
	counts  exportCounts
	events  map[id.EventID]struct{}
	threads map[id.EventID]struct{}
	lists   map[LinkedChunkID]struct{}

	// Of the linked chunk whose chunks are coming.
	numbers map[ChunkID]struct{}
	last    ExportChunk
	items   int // in the last chunk
}

func newExportRules(room id.RoomID) (*exportRules, error) {
	if room == "" {
		return nil, ErrNoRoomID
	}
	return &exportRules{
		room:   room,
		events: map[id.EventID]struct{}{}, threads: map[id.EventID]struct{}{}, lists: map[LinkedChunkID]struct{}{},
	}, nil
}

// take counts a line in, or says what is wrong with it. What it says contains
// nothing of the room.
func (r *exportRules) take(line ExportLine) error {
	switch l := line.(type) {
	case ExportEvent:
		return r.event(&l.Event)
	case ExportThread:
		return r.thread(l.Root)
	case ExportList:
		return r.list(l.List)
	case ExportChunk:
		return r.chunk(l)
	case ExportItems:
		return r.contents(l)
	default:
		return errors.New("a line of no known type")
	}
}

func (r *exportRules) event(e *Event) error {
	if r.counts.Threads > 0 || r.counts.Lists > 0 {
		return errors.New("an event comes after threads or chunks")
	}
	if err := e.Check(); err != nil {
		return err
	}
	if _, there := r.events[e.ID]; there {
		return errors.New("an event comes twice")
	}
	r.events[e.ID] = struct{}{}
	r.counts.Events++
	return nil
}

func (r *exportRules) thread(root id.EventID) error {
	if r.counts.Lists > 0 {
		return errors.New("a thread comes after chunks")
	}
	if err := Thread(r.room, root).Check(); err != nil {
		return ErrLinkedChunkID
	}
	if _, there := r.threads[root]; there {
		return errors.New("a thread comes twice")
	}
	r.threads[root] = struct{}{}
	r.counts.Threads++
	return nil
}

func (r *exportRules) list(list LinkedChunkID) error {
	if err := r.endOfList(); err != nil {
		return err
	}
	if list.Check() != nil || list.Room != r.room {
		return ErrLinkedChunkID
	}
	if _, there := r.lists[list]; there {
		return errors.New("a linked chunk comes twice")
	}
	if list.Kind == KindThread {
		if _, known := r.threads[list.Event]; !known {
			return errors.New("a thread has chunks and is not known")
		}
	}
	r.lists[list] = struct{}{}
	r.numbers, r.last, r.items = map[ChunkID]struct{}{}, ExportChunk{}, 0
	r.counts.Lists++
	return nil
}

// endOfList says whether the chunks that came last are a whole chain.
func (r *exportRules) endOfList() error {
	switch {
	case r.counts.Lists > 0 && len(r.numbers) == 0:
		return errors.New("a linked chunk has no chunks")
	case r.last.Next != 0:
		return fmt.Errorf("chunk %d is not the last one, and none follows", r.last.ID)
	}
	return nil
}

func (r *exportRules) chunk(c ExportChunk) error {
	if r.counts.Lists == 0 {
		return errors.New("a chunk is in no linked chunk")
	}
	if c.ID == 0 || c.ID > MaxChunkID {
		return ErrChunkID
	}
	if _, there := r.numbers[c.ID]; there {
		return fmt.Errorf("chunk %d comes twice", c.ID)
	}
	if c.Previous != r.last.ID || len(r.numbers) > 0 && r.last.Next != c.ID {
		return fmt.Errorf("chunk %d does not follow chunk %d", c.ID, r.last.ID)
	}
	r.numbers[c.ID] = struct{}{}
	r.last, r.items = c, 0
	r.counts.Chunks++
	return nil
}

func (r *exportRules) contents(l ExportItems) error {
	switch {
	case len(l.Events) == 0:
		return errors.New("there are no events among items")
	case r.last.ID == 0 || l.At.Chunk != r.last.ID:
		return fmt.Errorf("items of chunk %d do not follow it", l.At.Chunk)
	case r.last.Gap != nil:
		return fmt.Errorf("chunk %d is a gap, and has items", l.At.Chunk)
	case l.At.Index != r.items:
		return fmt.Errorf("item %d of chunk %d is not the next one", l.At.Index, l.At.Chunk)
	}
	for _, event := range l.Events {
		if _, known := r.events[event]; !known {
			return fmt.Errorf("chunk %d has an event that did not come before", l.At.Chunk)
		}
	}
	r.items += len(l.Events)
	r.counts.Items += len(l.Events)
	return nil
}

// refuse returns an error that matches ErrExport, and err.
func refuse(err error) error { return fmt.Errorf("%w: %w", ErrExport, err) }
