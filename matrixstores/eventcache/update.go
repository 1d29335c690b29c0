package eventcache

// Update is one change of a linked chunk: one of the types below. A LinkedChunk
// yields them, and a Store applies them in their order.
//
// Every update has conditions. One that is not met is an *UpdateError, and none
// of the updates that were given together has happened.
type Update interface {
	// Name returns the name of the update's type, for errors and logs.
	Name() string
	isUpdate()
}

// Gap is a hole in a list of events.
type Gap struct {
	Token string // what to ask the server with for the events that are missing; any bytes
}

// NewItemsChunk links a new chunk of events, without events, between two
// neighbours. The new number must be unused (ErrChunkExists). The neighbours must
// be there (ErrUnknownChunk), and next to each other as they are named: Previous
// must be followed by Next, where 0 is the end of the chain (ErrLinks). So a chunk without
// neighbours can only be the first one of a linked chunk.
type NewItemsChunk struct {
	Previous ChunkID // 0: it becomes the first
	New      ChunkID
	Next     ChunkID // 0: it becomes the last
}

// NewGapChunk links a new gap, as NewItemsChunk does a chunk of events.
type NewGapChunk struct {
	Previous ChunkID
	New      ChunkID
	Next     ChunkID
	Gap      Gap
}

// RemoveChunk takes a chunk out of the chain and links its neighbours. What it
// held goes with it; the events themselves stay known to the room. It must be there (ErrUnknownChunk).
type RemoveChunk struct {
	Chunk ChunkID
}

// PushItems appends events to a chunk, whose length At.Index has to be
// (ErrPosition). It must be one of events (ErrUnknownChunk, ErrChunkIsGap), and every event must be
// one that can be stored (Event.Check). An event that the room knows already is
// replaced, wherever it is. Without Items nothing is checked and nothing happens.
type PushItems struct {
	At    Position
	Items []Event
}

// ReplaceItem puts another event, or another version of it, in the place of the
// one that is there (ErrUnknownChunk, ErrChunkIsGap, ErrPosition). The one that was there stays known to the room.
type ReplaceItem struct {
	At   Position
	Item Event
}

// RemoveItem takes an event out of its chunk; those behind it move up. It must
// be there (ErrUnknownChunk, ErrChunkIsGap, ErrPosition). The event itself stays known to the room.
type RemoveItem struct {
	At Position
}

// DetachLastItems takes all events from a position on out of their chunk. The
// position may be that behind the last event, and then nothing happens, but
// not beyond it (ErrUnknownChunk, ErrChunkIsGap, ErrPosition). The events stay known to the room.
type DetachLastItems struct {
	At Position
}

// StartReattachItems tells that the events that were detached before are about
// to be pushed again, behind others. A store has nothing to do.
type StartReattachItems struct{}

// EndReattachItems tells that they have been.
type EndReattachItems struct{}

// Clear removes all chunks. The events stay known to the room.
type Clear struct{}

// Name returns "new items chunk".
func (NewItemsChunk) Name() string { return "new items chunk" }

// Name returns "new gap chunk".
func (NewGapChunk) Name() string { return "new gap chunk" }

// Name returns "remove chunk".
func (RemoveChunk) Name() string { return "remove chunk" }

// Name returns "push items".
func (PushItems) Name() string { return "push items" }

// Name returns "replace item".
func (ReplaceItem) Name() string { return "replace item" }

// Name returns "remove item".
func (RemoveItem) Name() string { return "remove item" }

// Name returns "detach last items".
func (DetachLastItems) Name() string { return "detach last items" }

// Name returns "start reattach items".
func (StartReattachItems) Name() string { return "start reattach items" }

// Name returns "end reattach items".
func (EndReattachItems) Name() string { return "end reattach items" }

// Name returns "clear".
func (Clear) Name() string { return "clear" }

func (NewItemsChunk) isUpdate()      {}
func (NewGapChunk) isUpdate()        {}
func (RemoveChunk) isUpdate()        {}
func (PushItems) isUpdate()          {}
func (ReplaceItem) isUpdate()        {}
func (RemoveItem) isUpdate()         {}
func (DetachLastItems) isUpdate()    {}
func (StartReattachItems) isUpdate() {}
func (EndReattachItems) isUpdate()   {}
func (Clear) isUpdate()              {}
