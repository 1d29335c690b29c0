package sqlitestore_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"testing"

	"github.com/quiesce-go/quiesce/driver/sqlite"
	"github.com/quiesce-go/quiesce/lifecycle"
	"github.com/quiesce-go/quiesce/matrixstores/eventcache"
	"github.com/quiesce-go/quiesce/storekit/secret"
)

const roomA = "!a:example.org"

// during is a reader, or a writer, that calls a function before it is used for the first time.
type during struct {
	bytes.Buffer
	call func()
}

func (d *during) begin() {
	if d.call != nil {
		call := d.call
		d.call = nil
		call()
	}
}

func (d *during) Read(p []byte) (int, error)  { d.begin(); return d.Buffer.Read(p) }
func (d *during) Write(p []byte) (int, error) { d.begin(); return d.Buffer.Write(p) }

// exportOf is a room of some events, as it is exported.
func exportOf(t *testing.T, s eventcache.Store, events int) []byte {
	t.Helper()
	fill(t, s, eventcache.Room(roomA), events)
	var b bytes.Buffer
	must(t, s.Export(ctx, roomA, &b))
	return b.Bytes()
}

// TestASlowReaderOfAnImportKeepsNobody: while an Import waits for its reader, others write, and the store pauses; the Import has then
// changed nothing.
func TestASlowReaderOfAnImportKeepsNobody(t *testing.T) {
	onVariants(t, func(t *testing.T, engine sqlite.Engine, key secret.Secret) {
		s := openEventCache(t, engine, key)
		export := exportOf(t, s, 100)
		must(t, s.ClearAll(ctx))
		bounded, cancel := context.WithTimeout(ctx, patience)
		defer cancel()
		rest := &during{}
		rest.Buffer.Write(export[len(export)/2:])
		rest.call = func() {
			if err := s.SaveEvents(bounded, "!b:example.org", message(1)); err != nil {
				t.Errorf("while an Import waits for its reader, SaveEvents returned %v; want nil", err)
			}
			if err := s.Pause(bounded); err != nil {
				t.Errorf("while an Import waits for its reader, Pause returned %v; want nil", err)
			}
		}
		half := bytes.NewReader(export[:len(export)/2])
		wantError(t, "an Import whose reader has come to its end in a pause", last(s.Import(bounded, io.MultiReader(half, rest))), lifecycle.ErrPaused)
		must(t, s.Resume(ctx))
		if stats, err := s.RoomStats(ctx, roomA); err != nil || stats.Events != 0 {
			t.Errorf("an Import that was refused has left %+v, %v", stats, err)
		}
		must(t, last(s.Import(ctx, bytes.NewReader(export))))
		var again bytes.Buffer
		must(t, s.Export(ctx, roomA, &again))
		if !bytes.Equal(again.Bytes(), export) {
			t.Error("the same Import in an active store made another room of the export")
		}
	})
}

// TestAnImportThatIsRefusedReadsNothing: it can be repeated with the same reader.
func TestAnImportThatIsRefusedReadsNothing(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		s := openEventCache(t, engine, key(1))
		export := bytes.NewReader(exportOf(t, s, 10))
		must(t, s.Pause(ctx))
		before := export.Len()
		err := last(s.Import(ctx, export))
		if wantError(t, "Import into a paused store", err, lifecycle.ErrPaused); export.Len() != before {
			t.Errorf("an Import into a paused store has read %d bytes; want 0", before-export.Len())
		}
		must(t, s.Resume(ctx))
		must(t, last(s.Import(ctx, export)))
	})
}

// TestAnImportOfMoreThanIsReadAhead: what does not fit into memory is imported as what does, and a part of it that is no export changes nothing.
func TestAnImportOfMoreThanIsReadAhead(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		s := openEventCache(t, engine, key(1))
		export := exportOf(t, s, 1000) // more than the buffer of a Decoder holds
		ahead := []int64{int64(len(export)) / 2, 0, 1, int64(len(export)) - 1, int64(len(export))}
		if isShort() && engine.Name() != fastest().Name() { // it is the same code, above the engine
			ahead = ahead[:1]
		}
		for _, n := range ahead {
			s.ReadAhead(n)
			for _, bad := range [][]byte{export[:len(export)-2], append(bytes.Clone(export), '!')} {
				wantError(t, "Import", last(s.Import(ctx, bytes.NewReader(bad))), eventcache.ErrExport)
			}
			wantSame := func(what string) {
				t.Helper()
				var again bytes.Buffer
				must(t, s.Export(ctx, roomA, &again))
				if !bytes.Equal(again.Bytes(), export) {
					t.Errorf("reading %d bytes of %d ahead, %s made another room of the export", n, len(export), what)
				}
			}
			wantSame("Imports that were refused")
			must(t, last(s.Import(ctx, bytes.NewReader(export))))
			wantSame("an Import")
		}
	})
}

// TestAnImportWhoseContextEndsIsInterrupted: and says why.
func TestAnImportWhoseContextEndsIsInterrupted(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		s := openEventCache(t, engine, key(1))
		r := &during{}
		r.Buffer.Write(exportOf(t, s, 10))
		ending, end := context.WithCancelCause(ctx)
		why := errors.New("enough")
		r.call = func() { end(why) }
		err := last(s.Import(ending, r))
		for _, want := range []error{lifecycle.ErrInterrupted, context.Canceled, why} {
			wantError(t, "an Import whose context has ended", err, want)
		}
	})
}

// TestTheEndOfAnExportIsWrittenOutside: an export of a small room holds nothing of the store when it is written.
func TestTheEndOfAnExportIsWrittenOutside(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		s := openEventCache(t, engine, key(1))
		want := exportOf(t, s, 10)
		bounded, cancel := context.WithTimeout(ctx, patience)
		defer cancel()
		w := &during{call: func() {
			if err := s.Pause(bounded); err != nil {
				t.Errorf("while the end of an export was written, Pause returned %v; want nil", err)
			}
		}}
		if err := s.Export(ctx, roomA, w); err != nil || !bytes.Equal(w.Bytes(), want) {
			t.Errorf("an export whose end was written in a pause has %d bytes, and should have %d: %v", w.Len(), len(want), err)
		}
		must(t, s.Resume(ctx))
	})
}
