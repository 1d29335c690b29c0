package memorystore_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"testing"

	"maunium.net/go/mautrix/id"

	"github.com/quiesce-go/quiesce/lifecycle"
	"github.com/quiesce-go/quiesce/matrixstores/eventcache"
	"github.com/quiesce-go/quiesce/matrixstores/memorystore"
)

const room id.RoomID = "!room:example.org"

// stuck reads or writes nothing until it is let go.
type stuck struct {
	in    chan struct{} // closed when somebody is inside
	leave chan struct{}
	bytes.Buffer
	begun bool
}

func newStuck() *stuck { return &stuck{in: make(chan struct{}), leave: make(chan struct{})} }

func (s *stuck) wait() {
	if !s.begun {
		s.begun = true
		close(s.in)
		<-s.leave
	}
}

func (s *stuck) Write(p []byte) (int, error) { s.wait(); return s.Buffer.Write(p) }
func (s *stuck) Read(p []byte) (int, error)  { s.wait(); return s.Buffer.Read(p) }

// A writer that does not take what it is given keeps neither a Pause nor a Close:
// in memory nobody could be cut off.
func TestAnExportWhoseWriterIsStuckKeepsNoPause(t *testing.T) {
	for what, halt := range map[string]func(*memorystore.EventCache, context.Context) error{
		"pause": (*memorystore.EventCache).Pause, "close": (*memorystore.EventCache).Close,
	} {
		t.Run(what, func(t *testing.T) {
			s := openEventCache(t, memorystore.EventCacheConfig{Config: memorystore.Config{Strict: true, Timeout: watchdog}})
			must(t, s.SaveEvents(t.Context(), room, manyEvents(200)...)) // more than an Encoder gathers
			w, done := newStuck(), make(chan error, 1)
			go func() { done <- s.Export(t.Context(), room, w) }()
			<-w.in
			ctx, cancel := context.WithTimeout(t.Context(), watchdog/2)
			defer cancel()
			if err := halt(s, ctx); err != nil {
				t.Errorf("the writer of an Export takes nothing, and %s returned: %v; want nil", what, err)
			}
			close(w.leave)
			if err := <-done; !errors.Is(err, lifecycle.ErrInterrupted) {
				t.Errorf("an Export that met a %s returned %v; it has to end with ErrInterrupted", what, err)
			}
			_, err := openEventCache(t, memorystore.EventCacheConfig{}).Import(t.Context(), &w.Buffer)
			if !errors.Is(err, eventcache.ErrExport) {
				t.Errorf("importing what an interrupted Export has written returned %v; want ErrExport", err)
			}
		})
	}
}

// An Export beside a pause and a Resume is not of one life: it ends, although the store is active again.
func TestAnExportIsEndedByAPauseThatIsOverAlready(t *testing.T) {
	s := openEventCache(t, memorystore.EventCacheConfig{Config: memorystore.Config{Strict: true}})
	must(t, s.SaveEvents(t.Context(), room, manyEvents(200)...))
	w, done := newStuck(), make(chan error, 1)
	go func() { done <- s.Export(t.Context(), room, w) }()
	<-w.in
	must(t, s.Pause(t.Context()))
	must(t, s.Resume(t.Context()))
	close(w.leave)
	if err := <-done; !errors.Is(err, lifecycle.ErrInterrupted) {
		t.Errorf("an Export that met a pause returned %v; it has to end with ErrInterrupted", err)
	}
}

// A reader that gives nothing keeps neither other writers nor a Pause.
func TestAnImportWhoseReaderIsStuckKeepsNobody(t *testing.T) {
	onModes(t, func(t *testing.T, strict bool) {
		from := openEventCache(t, memorystore.EventCacheConfig{})
		must(t, from.SaveEvents(t.Context(), room, manyEvents(3)...))
		var export bytes.Buffer
		must(t, from.Export(t.Context(), room, &export))

		s := openEventCache(t, memorystore.EventCacheConfig{Config: memorystore.Config{Strict: strict, Timeout: watchdog}})
		r, done := newStuck(), make(chan error, 1)
		first, rest := export.Bytes()[:export.Len()/2], export.Bytes()[export.Len()/2:]
		r.Buffer.Write(rest)
		go func() {
			_, err := s.Import(t.Context(), io.MultiReader(bytes.NewReader(first), r))
			done <- err
		}()
		<-r.in
		ctx, cancel := context.WithTimeout(t.Context(), watchdog/2)
		defer cancel()
		if err := s.SaveEvents(ctx, "!other:example.org", manyEvents(1)...); err != nil {
			t.Errorf("while an Import waits for its reader, SaveEvents returned %v; want nil", err)
		}
		if err := s.Pause(ctx); err != nil {
			t.Errorf("while an Import waits for its reader, Pause returned %v; want nil", err)
		}
		close(r.leave)
		err := <-done
		must(t, s.Resume(t.Context()))
		_, found, findErr := s.FindEvent(t.Context(), room, manyEvents(1)[0].ID)
		must(t, findErr)
		switch {
		case strict && (!errors.Is(err, lifecycle.ErrPaused) || found):
			t.Errorf("an Import that came to its end while the store was paused returned %v, and an event of it is there: %v; want ErrPaused and nothing", err, found)
		case !strict && (err != nil || !found):
			t.Errorf("an Import returned %v, and its event is there: %v; want nil and all", err, found)
		}
	})
}

// A refused Import has read nothing: it can be repeated with the same reader.
func TestAnImportThatIsRefusedReadsNothing(t *testing.T) {
	s := openEventCache(t, memorystore.EventCacheConfig{Config: memorystore.Config{Strict: true}})
	must(t, s.SaveEvents(t.Context(), room, manyEvents(3)...))
	var export bytes.Buffer
	must(t, s.Export(t.Context(), room, &export))
	must(t, s.ClearAll(t.Context()))
	must(t, s.Pause(t.Context()))
	before := export.Len()
	if _, err := s.Import(t.Context(), &export); !errors.Is(err, lifecycle.ErrPaused) || export.Len() != before {
		t.Errorf("an Import into a paused store returned %v and has read %d bytes; want ErrPaused and 0", err, before-export.Len())
	}
	must(t, s.Resume(t.Context()))
	if got, err := s.Import(t.Context(), &export); err != nil || got != room {
		t.Errorf("the same Import after the Resume returned %q, %v", got, err)
	}
}

// endsAt is a reader whose context ends when it is read from.
type endsAt struct {
	io.Reader
	end context.CancelCauseFunc
	why error
}

func (e endsAt) Read(p []byte) (int, error) { e.end(e.why); return e.Reader.Read(p) }

// An Import whose context ends says so as every operation that was interrupted.
func TestAnImportWhoseContextEndsIsInterrupted(t *testing.T) {
	s := openEventCache(t, memorystore.EventCacheConfig{})
	must(t, s.SaveEvents(t.Context(), room, manyEvents(3)...))
	var export bytes.Buffer
	must(t, s.Export(t.Context(), room, &export))
	ctx, end := context.WithCancelCause(t.Context())
	why := errors.New("enough")
	_, err := s.Import(ctx, endsAt{&export, end, why})
	for _, want := range []error{lifecycle.ErrInterrupted, context.Canceled, why} {
		if !errors.Is(err, want) {
			t.Errorf("an Import whose context has ended returned %v; want what matches %v", err, want)
		}
	}
}
