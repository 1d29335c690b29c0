package lifecycle

import (
	"bytes"
	"context"
	"fmt"
	"runtime"
)

// identity gives a store an address that a frame on a stack can show.
type identity struct{ _ byte }

type runner interface{ run() error }

// opFrame is the frame under every callback. Tracebacks print the arguments of
// a plain function, but not the receiver of a generic method, so this one is
// neither generic nor inlined: a call that would wait for an operation can
// find on its own stack that it was made inside it.
//
//go:noinline
func opFrame(id *identity, r runner) error {
	err := r.run()
	runtime.KeepAlive(id)
	return err
}

// onOwnStack tells whether the calling goroutine is inside an operation of
// id's store, and of this slot where one is given. It is a best effort: not
// for operations that handed their work to another goroutine, and not beyond
// the hundred frames that a traceback shows. It takes about 25 µs.
func onOwnStack(id *identity, slot any) bool {
	buf := make([]byte, 16<<10)
	n := runtime.Stack(buf, false)
	for n == len(buf) {
		buf = make([]byte, 2*len(buf))
		n = runtime.Stack(buf, false)
	}
	for _, line := range bytes.Split(buf[:n], []byte("\n")) {
		_, args, found := bytes.Cut(line, []byte("lifecycle.opFrame("))
		if found && hasPointer(args, id) && (slot == nil || hasPointer(args, slot)) {
			return true
		}
	}
	return false
}

// hasPointer tells whether the arguments of a traceback's line contain the pointer p.
func hasPointer(args []byte, p any) bool {
	needle := fmt.Appendf(nil, "%p", p)
	for {
		_, rest, found := bytes.Cut(args, needle)
		if !found {
			return false
		}
		if len(rest) > 0 && bytes.IndexByte([]byte(",?)}"), rest[0]) >= 0 { // not the start of a longer address
			return true
		}
		args = rest
	}
}

type insideKey struct{ id *identity }

// inside marks a context as part of one operation.
type inside[C comparable] struct {
	slot *slot[C]
	op   uint64
}

// Inside marks ctx as part of the operation that holds c, for calls made from
// its callback. A Read under the returned context joins that operation: it
// gets c itself, also while a pause waits for the operation. A Write in a
// Write, a Pause and a Close return ErrNested, and work that is refused fails at once
// whatever the policy. When no operation holds c, ctx is returned unchanged.
func (s *Connections[C]) Inside(ctx context.Context, c C) context.Context {
	for _, sl := range s.slots() {
		word := sl.word.Load()
		if sl.conn == c && word&stateMask != idle {
			s.marked.Store(true)
			return context.WithValue(ctx, insideKey{&s.id}, inside[C]{sl, word >> stateBits})
		}
	}
	return ctx
}

// insideOf returns the operation that ctx is marked with, while that runs.
func (s *Connections[C]) insideOf(ctx context.Context) (sl *slot[C], ok bool) {
	if !s.marked.Load() {
		return nil, false
	}
	in, ok := ctx.Value(insideKey{&s.id}).(inside[C])
	if !ok {
		return nil, false
	}
	word := in.slot.word.Load()
	if word>>stateBits != in.op || word&stateMask == idle {
		return nil, false
	}
	return in.slot, true
}

// inOperation tells whether a call with ctx comes from inside an operation of this store.
func (s *Connections[C]) inOperation(ctx context.Context) bool {
	if _, in := s.insideOf(ctx); in {
		return true
	}
	return s.anyWork() && onOwnStack(&s.id, nil)
}
