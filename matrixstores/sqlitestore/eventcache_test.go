package sqlitestore_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"

	"github.com/quiesce-go/quiesce/driver/sqlite"
	"github.com/quiesce-go/quiesce/driver/sqlite/modernc"
	"github.com/quiesce-go/quiesce/matrixstores/eventcache"
	"github.com/quiesce-go/quiesce/matrixstores/sqlitestore"
	"github.com/quiesce-go/quiesce/storekit/codec"
	"github.com/quiesce-go/quiesce/storekit/secret"
)

// TestDamagedEventIsADecodeError: what is no stored event is told with its place, by every method that reads events, and
// nothing panics. Another event can be stored in its place.
func TestDamagedEventIsADecodeError(t *testing.T) {
	const room = "!a:example.org"
	onVariants(t, func(t *testing.T, engine sqlite.Engine, secret secret.Secret) {
		s := openEventCache(t, engine, secret)
		fill(t, s, eventcache.Room(room), 20)
		for _, damage := range []string{`substr(content, 1, 12)`, `x''`, `x'00'`, `x'01ffff'`} {
			must(t, s.Update(ctx, func(c *sqlite.Conn) error { return c.ExecScript(ctx, `UPDATE event SET content = `+damage) }))
			for name, err := range map[string]error{
				"FindEvent":     second(s.FindEvent(ctx, room, "$event-3")),
				"FindEvents":    last(s.FindEvents(ctx, room, eventcache.Filter{})),
				"FindRelations": last(s.FindRelations(ctx, room, "$event-8", nil)),
				"LoadAllChunks": last(s.LoadAllChunks(ctx, eventcache.Room(room))),
				"Export":        s.Export(ctx, room, new(counter)),
			} {
				var wrong *codec.DecodeError
				if !errors.As(err, &wrong) || wrong.Table != "event" || wrong.Column != "content" {
					t.Errorf("%s of an event that was overwritten with %s: %v", name, damage, err)
				}
			}
			must(t, s.SaveEvents(ctx, room, message(3)))
			if e, found, err := s.FindEvent(ctx, room, "$event-3"); err != nil || !found || string(e.Raw) != string(message(3).Raw) {
				t.Errorf("an event that was stored in the place of a damaged one is not found: %v, %v, %v", e, found, err)
			}
		}
	})
}

// TestDeepJSONIsStored: what is as deep as JSON can be is stored, beside an event as well as in it.
func TestDeepJSONIsStored(t *testing.T) {
	const room, levels = "!a:example.org", 10_000
	deep := json.RawMessage(strings.Repeat(`[`, levels-1) + `{}` + strings.Repeat(`]`, levels-1))
	e := eventcache.Event{
		ID: "$deep", Raw: json.RawMessage(`{"a":` + string(deep[1:len(deep)-1]) + `}`),
		Meta: &eventcache.Meta{Decrypted: &eventcache.Decrypted{Original: deep}, PushActions: []json.RawMessage{deep}},
	}
	onVariants(t, func(t *testing.T, engine sqlite.Engine, secret secret.Secret) {
		s := openEventCache(t, engine, secret)
		must(t, s.Apply(ctx, eventcache.Room(room), []eventcache.Update{
			eventcache.NewItemsChunk{New: 1}, eventcache.PushItems{At: eventcache.Position{Chunk: 1}, Items: []eventcache.Event{e}},
		}))
		if got, found, err := s.FindEvent(ctx, room, e.ID); err != nil || !found || !reflect.DeepEqual(got, e) {
			t.Errorf("an event whose JSON has %d levels is not the same again: it is found %v, %v", levels, found, err)
		}
		var before, after bytes.Buffer
		must(t, s.Export(ctx, room, &before))
		must(t, last(s.Import(ctx, bytes.NewReader(before.Bytes()))))
		must(t, s.Export(ctx, room, &after))
		if !bytes.Equal(after.Bytes(), before.Bytes()) {
			t.Error("an event that is nested deeply is another one after an import of its export")
		}
	})
}

func last[T any](_ T, err error) error           { return err }
func second[A, B any](_ A, _ B, err error) error { return err }

// counter is a writer that only counts.
type counter int

func (c *counter) Write(b []byte) (int, error) { *c += counter(len(b)); return len(b), nil }

// TestPartsOfATransactionOfTheCallers: what is done with In is done when the caller's transaction is, and not otherwise.
func TestPartsOfATransactionOfTheCallers(t *testing.T) {
	const room = "!a:example.org"
	list := eventcache.Room(room)
	onVariants(t, func(t *testing.T, engine sqlite.Engine, secret secret.Secret) {
		s := openEventCache(t, engine, secret)
		change := func(c *sqlite.Conn) error {
			in := s.In(c)
			return errors.Join(
				in.Apply(ctx, list, []eventcache.Update{eventcache.NewItemsChunk{New: 1}, eventcache.PushItems{At: eventcache.Position{Chunk: 1}, Items: []eventcache.Event{message(1)}}}),
				in.SaveEvents(ctx, room, message(2)),
				in.RememberThread(ctx, room, "$root"))
		}
		failed := errors.New("the caller has failed")
		wantError(t, "Update", s.Update(ctx, func(c *sqlite.Conn) error { return errors.Join(change(c), failed) }), failed)
		if all, err := s.AllRoomStats(ctx); err != nil || len(all) != 0 {
			t.Errorf("of a transaction that was taken back there is %+v, %v", all, err)
		}
		must(t, s.Update(ctx, func(c *sqlite.Conn) error {
			if err := change(c); err != nil {
				return err
			}
			// An update that is refused takes back itself alone.
			err := s.In(c).Apply(ctx, list, []eventcache.Update{eventcache.RemoveItem{}, eventcache.RemoveChunk{Chunk: 7}})
			wantError(t, "Apply", err, eventcache.ErrUnknownChunk)
			return nil
		}))
		must(t, s.View(ctx, func(c *sqlite.Conn) error {
			chunks, err := s.In(c).LoadAllChunks(ctx, list)
			if err != nil || len(chunks) != 1 || len(chunks[0].Items) != 1 {
				t.Errorf("after a transaction that was committed there is %+v, %v", chunks, err)
			}
			return nil
		}))
	})
}

// TestCleanUpOfEventsOfOneMoment: a clean-up comes to every event, though more of them were stored at the same time than it looks at in
// one step.
func TestCleanUpOfEventsOfOneMoment(t *testing.T) {
	const unused, used = 3*512 + 7, 700
	now := time.UnixMilli(1_700_000_000_000)
	for _, name := range []string{"unused first", "used first"} {
		t.Run(name, func(t *testing.T) {
			s := openEventCacheWith(t, sqlitestore.Config{
				Database: sqlite.Config{Engine: modernc.Engine(), Path: filepath.Join(t.TempDir(), "events.db")}, Clock: func() time.Time { return now },
			})
			save := func() {
				var events []eventcache.Event
				for i := range unused {
					events = append(events, eventcache.Event{ID: id.EventID(fmt.Sprint("$unused-", i)), Raw: []byte(`{}`)})
				}
				must(t, s.SaveEvents(ctx, "!a:example.org", events...))
			}
			if name == "unused first" {
				save()
			}
			fill(t, s, eventcache.Room("!a:example.org"), used)
			if name == "used first" {
				save()
			}
			for _, step := range []struct {
				after time.Duration
				want  int
			}{{0, 0}, {time.Hour, 0}, {time.Millisecond, unused}, {0, 0}} {
				now = now.Add(step.after)
				if removed, err := s.CleanUp(ctx, eventcache.CleanUpPolicy{OlderThan: time.Hour}); err != nil || removed != step.want {
					t.Errorf("a clean-up %v later removed %d events, want %d: %v", step.after, removed, step.want, err)
				}
			}
			if stats, err := s.RoomStats(ctx, "!a:example.org"); err != nil || stats.Events != used {
				t.Errorf("of %d events that a linked chunk refers to, %d are left: %v", used, stats.Events, err)
			}
		})
	}
}

// TestCleanUpForgetsNamesThatNothingHas: names of types come from whoever sends an event, and do not stay longer than the events.
func TestCleanUpForgetsNamesThatNothingHas(t *testing.T) {
	const room, unused = "!a:example.org", 600 // more than one step looks at
	now := time.UnixMilli(1_700_000_000_000)
	s := openEventCacheWith(t, sqlitestore.Config{
		Database: sqlite.Config{Engine: modernc.Engine(), Path: filepath.Join(t.TempDir(), "events.db")}, Clock: func() time.Time { return now },
	})
	names := func() (n int) {
		must(t, s.View(ctx, func(c *sqlite.Conn) error { return c.QueryRow(ctx, `SELECT count(*) FROM name`).Scan(&n) }))
		return n
	}
	typed := func(eventType, relType string) eventcache.Event {
		e := eventcache.Event{ID: id.EventID("$" + eventType + relType), Type: eventType, Raw: []byte(`{}`)}
		if relType != "" {
			e.RelatesTo, e.RelType = "$to", event.RelationType(relType)
		}
		return e
	}
	var events []eventcache.Event
	for i := range unused / 2 {
		events = append(events, typed(fmt.Sprint("t", i), fmt.Sprint("r", i)))
	}
	must(t, s.SaveEvents(ctx, room, events...))
	now = now.Add(time.Hour)
	kept := []eventcache.Event{typed("kept", ""), typed("t7", "kept")}
	must(t, s.SaveEvents(ctx, room, kept...))
	if n := names(); n != unused+2 {
		t.Fatalf("there are %d names, want %d", n, unused+2)
	}
	removed, err := s.CleanUp(ctx, eventcache.CleanUpPolicy{OlderThan: time.Hour})
	if err != nil || removed != 0 { // they are just as old as they may be
		t.Errorf("a clean-up before its time removed %d events: %v", removed, err)
	}
	if n := names(); n != unused+2 {
		t.Errorf("after a clean-up that removed no event there are %d names, want %d", n, unused+2)
	}
	now = now.Add(time.Millisecond)
	if removed, err = s.CleanUp(ctx, eventcache.CleanUpPolicy{OlderThan: time.Hour}); err != nil || removed != unused/2 {
		t.Errorf("a clean-up removed %d events, want %d: %v", removed, unused/2, err)
	}
	if n := names(); n != 3 { // kept, as a type and as a relation, and t7
		t.Errorf("after a clean-up there are %d names, want 3", n)
	}
	for _, e := range kept {
		found, err := s.FindEvents(ctx, room, eventcache.Filter{Type: e.Type})
		if err != nil || len(found) != 1 || found[0].ID != e.ID {
			t.Errorf("of type %s there is %v, %v; want %s", e.Type, found, err, e.ID)
		}
	}
	must(t, s.ClearRoom(ctx, room))
	must(t, last(s.CleanUp(ctx, eventcache.CleanUpPolicy{})))
	if n := names(); n != 0 {
		t.Errorf("nothing is stored, and there are %d names", n)
	}
}
