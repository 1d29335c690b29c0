package eventcache_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"maunium.net/go/mautrix/id"

	"github.com/quiesce-go/quiesce/matrixstores/eventcache"
)

// named returns an event for each letter.
func named(letters string) []eventcache.Event {
	var events []eventcache.Event
	for _, letter := range letters {
		events = append(events, eventcache.Event{ID: id.EventID(letter), Raw: json.RawMessage(`{}`)})
	}
	return events
}

// letters shows chunks as "1[ab] 2(token) 3[c]".
func letters(chunks []eventcache.Chunk) string {
	var all []string
	for _, c := range chunks {
		if c.Gap != nil {
			all = append(all, fmt.Sprintf("%d(%s)", c.ID, c.Gap.Token))
			continue
		}
		s := ""
		for _, e := range c.Items {
			s += string(e.ID)
		}
		all = append(all, fmt.Sprintf("%d[%s]", c.ID, s))
	}
	return strings.Join(all, " ")
}

// told shows updates in a short form.
func told(updates []eventcache.Update) []string {
	var all []string
	for _, u := range updates {
		switch u := u.(type) {
		case eventcache.NewItemsChunk:
			all = append(all, fmt.Sprintf("new %d between %d and %d", u.New, u.Previous, u.Next))
		case eventcache.NewGapChunk:
			all = append(all, fmt.Sprintf("gap %d(%s) between %d and %d", u.New, u.Gap.Token, u.Previous, u.Next))
		case eventcache.RemoveChunk:
			all = append(all, fmt.Sprintf("remove %d", u.Chunk))
		case eventcache.PushItems:
			all = append(all, fmt.Sprintf("push %s at %v", letters([]eventcache.Chunk{{Items: u.Items}}), u.At))
		case eventcache.ReplaceItem:
			all = append(all, fmt.Sprintf("replace %v by %s", u.At, u.Item.ID))
		case eventcache.RemoveItem:
			all = append(all, fmt.Sprintf("remove %v", u.At))
		case eventcache.DetachLastItems:
			all = append(all, fmt.Sprintf("detach from %v", u.At))
		default:
			all = append(all, u.Name())
		}
	}
	return all
}

// TestOperationsYieldTheirUpdates says, for each operation, what becomes of the list and which updates
// say so to the store. The list has a capacity of 3.
func TestOperationsYieldTheirUpdates(t *testing.T) {
	pos := func(chunk eventcache.ChunkID, index int) eventcache.Position {
		return eventcache.Position{Chunk: chunk, Index: index}
	}
	must := func(_ any, err error) error { return err }
	whole := func() *eventcache.LinkedChunk { // 1[abc] 2(g) 3[d]
		l := eventcache.NewLinkedChunk(3)
		err := errors.Join(l.PushItemsBack(named("abc")...), must(l.PushGapBack(eventcache.Gap{Token: "g"})), l.PushItemsBack(named("d")...))
		if err != nil {
			t.Fatal(err)
		}
		l.Updates()
		return l
	}
	end := func() *eventcache.LinkedChunk { // 7[ab], after chunk 5, which is not loaded
		l, err := eventcache.FromLastChunk(3, &eventcache.Chunk{ID: 7, Previous: 5, Items: named("ab")}, 9)
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	empty := func() *eventcache.LinkedChunk { return eventcache.NewLinkedChunk(3) }
	type list = *eventcache.LinkedChunk
	for _, c := range []struct {
		name  string
		on    func() *eventcache.LinkedChunk
		do    func(list) error
		want  string
		tells []string
	}{
		{"push into nothing", empty, func(l list) error { return l.PushItemsBack(named("ab")...) },
			"1[ab]", []string{"new 1 between 0 and 0", "push 0[ab] at 1:0"}},
		{"push more than a chunk takes", empty, func(l list) error { return l.PushItemsBack(named("abcdefg")...) },
			"1[abc] 2[def] 3[g]", []string{"new 1 between 0 and 0", "push 0[abc] at 1:0", "new 2 between 1 and 0", "push 0[def] at 2:0", "new 3 between 2 and 0", "push 0[g] at 3:0"}},
		{"push into a chunk with room", whole, func(l list) error { return l.PushItemsBack(named("efg")...) },
			"1[abc] 2(g) 3[def] 4[g]", []string{"push 0[ef] at 3:1", "new 4 between 3 and 0", "push 0[g] at 4:0"}},
		{"push behind what is not loaded", end, func(l list) error { return l.PushItemsBack(named("cd")...) },
			"7[abc] 10[d]", []string{"push 0[c] at 7:2", "new 10 between 7 and 0", "push 0[d] at 10:0"}},
		{"push nothing", empty, func(l list) error { return l.PushItemsBack() },
			"", nil},
		{"push a gap into nothing", empty, func(l list) error { return must(l.PushGapBack(eventcache.Gap{Token: "x"})) },
			"1(x)", []string{"gap 1(x) between 0 and 0"}},
		{"push a gap", whole, func(l list) error { return must(l.PushGapBack(eventcache.Gap{})) },
			"1[abc] 2(g) 3[d] 4()", []string{"gap 4() between 3 and 0"}},
		{"insert in the middle", whole, func(l list) error { return must(l.InsertItemsAt(pos(1, 1), named("xy")...)) },
			"1[axy] 4[bc] 2(g) 3[d]", []string{"detach from 1:1", "push 0[xy] at 1:1", "start reattach items", "new 4 between 1 and 2", "push 0[bc] at 4:0", "end reattach items"}},
		{"insert in the middle where there is room", end, func(l list) error { return must(l.InsertItemsAt(pos(7, 1), named("x")...)) },
			"7[axb]", []string{"detach from 7:1", "push 0[x] at 7:1", "start reattach items", "push 0[b] at 7:2", "end reattach items"}},
		{"insert at the beginning", end, func(l list) error { return must(l.InsertItemsAt(pos(7, 0), named("xyzw")...)) },
			"7[xyz] 10[wab]", []string{"detach from 7:0", "push 0[xyz] at 7:0", "new 10 between 7 and 0", "push 0[w] at 10:0", "start reattach items", "push 0[ab] at 10:1", "end reattach items"}},
		{"insert behind the last of a chunk", whole, func(l list) error { return must(l.InsertItemsAt(pos(1, 3), named("x")...)) },
			"1[abc] 4[x] 2(g) 3[d]", []string{"new 4 between 1 and 2", "push 0[x] at 4:0"}},
		{"insert nothing", whole, func(l list) error { return must(l.InsertItemsAt(pos(1, 1))) },
			"1[abc] 2(g) 3[d]", nil},
		{"a gap in the middle", whole, func(l list) error { return must(l.InsertGapAt(pos(1, 1), eventcache.Gap{Token: "x"})) },
			"1[a] 4(x) 5[bc] 2(g) 3[d]", []string{"detach from 1:1", "gap 4(x) between 1 and 2", "start reattach items", "new 5 between 4 and 2", "push 0[bc] at 5:0", "end reattach items"}},
		{"a gap at the beginning of all", whole, func(l list) error { return must(l.InsertGapAt(pos(1, 0), eventcache.Gap{Token: "x"})) },
			"4(x) 1[abc] 2(g) 3[d]", []string{"gap 4(x) between 0 and 1"}},
		{"a gap behind what is not loaded", end, func(l list) error { return must(l.InsertGapAt(pos(7, 0), eventcache.Gap{Token: "x"})) },
			"10(x) 7[ab]", []string{"gap 10(x) between 5 and 7"}},
		{"a gap behind the last of a chunk", whole, func(l list) error { return must(l.InsertGapAt(pos(3, 1), eventcache.Gap{Token: "x"})) },
			"1[abc] 2(g) 3[d] 4(x)", []string{"gap 4(x) between 3 and 0"}},
		{"replace an event", whole, func(l list) error { return l.ReplaceItemAt(pos(1, 2), named("x")[0]) },
			"1[abx] 2(g) 3[d]", []string{"replace 1:2 by x"}},
		{"remove an event", whole, func(l list) error { return must(l.RemoveItemAt(pos(1, 1))) },
			"1[ac] 2(g) 3[d]", []string{"remove 1:1"}},
		{"remove the last event of a chunk", whole, func(l list) error { return must(l.RemoveItemAt(pos(3, 0))) },
			"1[abc] 2(g)", []string{"remove 3:0", "remove 3"}},
		{"remove all events of the only chunk", end, func(l list) error {
			return errors.Join(must(l.RemoveItemAt(pos(7, 0))), must(l.RemoveItemAt(pos(7, 0))))
		},
			"7[]", []string{"remove 7:0", "remove 7:0"}},
		{"replace a gap", whole, func(l list) error { return must(l.ReplaceGapAt(2, named("wxyz")...)) },
			"1[abc] 4[wxy] 5[z] 3[d]", []string{"new 4 between 2 and 3", "push 0[wxy] at 4:0", "new 5 between 4 and 3", "push 0[z] at 5:0", "remove 2"}},
		{"replace a gap by nothing", whole, func(l list) error { return must(l.ReplaceGapAt(2)) },
			"1[abc] 4[] 3[d]", []string{"new 4 between 2 and 3", "remove 2"}},
		{"remove a gap", whole, func(l list) error { return l.RemoveEmptyChunk(2) },
			"1[abc] 3[d]", []string{"remove 2"}},
		{"clear, and go on", whole, func(l list) error { l.Clear(); return l.PushItemsBack(named("x")...) },
			"4[x]", []string{"clear", "new 4 between 0 and 0", "push 0[x] at 4:0"}},
		{"clear what is not loaded", end, func(l list) error { l.Clear(); return must(l.PushGapBack(eventcache.Gap{})) },
			"10()", []string{"clear", "gap 10() between 0 and 0"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := c.on()
			before := letters(slices.Collect(l.Chunks()))
			if err := c.do(l); err != nil {
				t.Fatal(err)
			}
			if got := letters(slices.Collect(l.Chunks())); got != c.want {
				t.Errorf("from %s it should become %s, it is %s", before, c.want, got)
			}
			if diff := cmp.Diff(c.tells, told(l.Updates())); diff != "" {
				t.Errorf("from %s to %s the updates are other ones (- wanted, + yielded):\n%s", before, c.want, diff)
			}
			if again := l.Updates(); again != nil {
				t.Errorf("updates were taken, and are there again: %v", told(again))
			}
		})
	}
}

func TestChunksTakeTheCapacityThatWasAsked(t *testing.T) {
	for asked, want := range map[int]int{math.MinInt: eventcache.DefaultCapacity, 0: eventcache.DefaultCapacity, 1: 1, 200: 200, math.MaxInt: 300} {
		l := eventcache.NewLinkedChunk(asked)
		var events []eventcache.Event
		for i := range 300 {
			events = append(events, eventcache.Event{ID: id.EventID(fmt.Sprint(i)), Raw: json.RawMessage(`{}`)})
		}
		if err := l.PushItemsBack(events...); err != nil {
			t.Fatal(err)
		}
		if first, _ := l.FirstChunk(); len(first.Items) != want || l.Len() != 300 {
			t.Errorf("with the capacity %d of 300 events %d are in the first chunk, %d in all; wanted %d, 300", asked, len(first.Items), l.Len(), want)
		}
	}
}

func TestUpdatesStayAsTheyWere(t *testing.T) {
	l := eventcache.NewLinkedChunk(4)
	given := named("abcd")
	if err := l.PushItemsBack(given...); err != nil {
		t.Fatal(err)
	}
	updates := l.Updates()
	given[0].ID = "changed"
	_, err := l.RemoveItemAt(eventcache.Position{Chunk: 1, Index: 1})
	if err = errors.Join(err, l.ReplaceItemAt(eventcache.Position{Chunk: 1, Index: 1}, named("x")[0])); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"new 1 between 0 and 0", "push 0[abcd] at 1:0"}, told(updates)); diff != "" {
		t.Errorf("updates that were taken have changed with the list, or with the slice that it was given:\n%s", diff)
	}
	if got := letters(slices.Collect(l.Chunks())); got != "1[axd]" {
		t.Errorf("the list has changed with the slice that it was given: %s", got)
	}
}

func TestWhatTheStoreReturnedIsNotChanged(t *testing.T) {
	stored := eventcache.Chunk{ID: 2, Previous: 1, Items: append(make([]eventcache.Event, 0, 10), named("cd")...)}
	before := eventcache.Chunk{ID: 1, Next: 2, Items: append(make([]eventcache.Event, 0, 10), named("ab")...)}
	l, err := eventcache.FromLastChunk(0, &stored, 2)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.PrependChunk(before); err != nil {
		t.Fatal(err)
	}
	for _, chunk := range []eventcache.ChunkID{1, 2} {
		at := eventcache.Position{Chunk: chunk}
		_, err1 := l.RemoveItemAt(at)
		_, err2 := l.InsertItemsAt(at, named("xyz")...)
		if err := errors.Join(err1, err2, l.ReplaceItemAt(at, named("w")[0])); err != nil {
			t.Fatal(err)
		}
	}
	if got := letters([]eventcache.Chunk{before, stored}); got != "1[ab] 2[cd]" || stored.Items[:3][2].ID != "" {
		t.Errorf("a store may keep what it returns; the list has made %s of it", got)
	}
}

func TestNumbersThatRunOutAreAnErrorBeforeAnythingIsDone(t *testing.T) {
	load := func(highest eventcache.ChunkID) *eventcache.LinkedChunk { // 1[abc] 3(g) 2[de], with a capacity of 3
		t.Helper()
		l, err := eventcache.FromLastChunk(3, &eventcache.Chunk{ID: 2, Previous: 3, Items: named("de")}, highest)
		if err != nil {
			t.Fatal(err)
		}
		err = errors.Join(l.PrependChunk(eventcache.Chunk{ID: 3, Previous: 1, Next: 2, Gap: &eventcache.Gap{Token: "g"}}),
			l.PrependChunk(eventcache.Chunk{ID: 1, Next: 3, Items: named("abc")}))
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	for name, c := range map[string]struct {
		needs eventcache.ChunkID
		do    func(*eventcache.LinkedChunk) error
	}{
		"push into what has room": {0, func(l *eventcache.LinkedChunk) error { return l.PushItemsBack(named("x")...) }},
		"push":                    {2, func(l *eventcache.LinkedChunk) error { return l.PushItemsBack(named("uvwxyz")...) }},
		"push a gap":              {1, func(l *eventcache.LinkedChunk) error { _, err := l.PushGapBack(eventcache.Gap{}); return err }},
		"insert with room": {0, func(l *eventcache.LinkedChunk) error {
			_, err := l.InsertItemsAt(eventcache.Position{Chunk: 2}, named("x")...)
			return err
		}},
		"insert in the middle with room": {0, func(l *eventcache.LinkedChunk) error {
			_, err := l.InsertItemsAt(eventcache.Position{Chunk: 2, Index: 1}, named("x")...)
			return err
		}},
		"insert": {1, func(l *eventcache.LinkedChunk) error {
			_, err := l.InsertItemsAt(eventcache.Position{Chunk: 1, Index: 1}, named("xy")...)
			return err
		}},
		"insert a gap": {2, func(l *eventcache.LinkedChunk) error {
			_, err := l.InsertGapAt(eventcache.Position{Chunk: 1, Index: 1}, eventcache.Gap{})
			return err
		}},
		"insert a gap in front": {1, func(l *eventcache.LinkedChunk) error {
			_, err := l.InsertGapAt(eventcache.Position{Chunk: 1}, eventcache.Gap{})
			return err
		}},
		"replace the gap":            {2, func(l *eventcache.LinkedChunk) error { _, err := l.ReplaceGapAt(3, named("wxyz")...); return err }},
		"replace the gap by nothing": {1, func(l *eventcache.LinkedChunk) error { _, err := l.ReplaceGapAt(3); return err }},
		"push after Clear":           {1, func(l *eventcache.LinkedChunk) error { return l.PushItemsBack(named("x")...) }},
	} {
		cleared := name == "push after Clear"
		for spare := range c.needs {
			l := load(eventcache.MaxChunkID - spare)
			if cleared {
				l.Clear()
				l.Updates()
			}
			before := letters(slices.Collect(l.Chunks()))
			var typed *eventcache.UpdateError
			if err := c.do(l); !errors.Is(err, eventcache.ErrChunkID) || !errors.As(err, &typed) {
				t.Errorf("%s needs %d numbers and %d are left: the error must be an *UpdateError for ErrChunkID, it is %v", name, c.needs, spare, err)
			}
			if after, updates := letters(slices.Collect(l.Chunks())), l.Updates(); after != before || updates != nil {
				t.Errorf("%s has failed for want of numbers, and made %s of %s, with the updates %v", name, after, before, told(updates))
			}
		}
		if l := load(eventcache.MaxChunkID - c.needs); !cleared {
			if err := c.do(l); err != nil {
				t.Errorf("%s needs %d numbers, which are there, and has failed: %v", name, c.needs, err)
			}
		}
	}
}

func TestWhatIsNoChainIsNotLoaded(t *testing.T) {
	for name, c := range map[string]struct {
		last    eventcache.Chunk
		highest eventcache.ChunkID
	}{
		"no number":                 {eventcache.Chunk{}, 1},
		"a number that is too high": {eventcache.Chunk{ID: eventcache.MaxChunkID + 1}, 1},
		"highest is too high":       {eventcache.Chunk{ID: 1}, eventcache.MaxChunkID + 1},
		"after what is too high":    {eventcache.Chunk{ID: 1, Previous: math.MaxUint64}, 1},
		"after itself":              {eventcache.Chunk{ID: 1, Previous: 1}, 1},
		"before itself":             {eventcache.Chunk{ID: 1, Next: 1}, 1},
		"not the last":              {eventcache.Chunk{ID: 1, Next: 2}, 2},
		"a gap with events":         {eventcache.Chunk{ID: 1, Gap: &eventcache.Gap{}, Items: named("a")}, 1},
	} {
		if l, err := eventcache.FromLastChunk(0, &c.last, c.highest); !errors.Is(err, eventcache.ErrBroken) || l != nil {
			t.Errorf("%s: the error must match ErrBroken, it is %v", name, err)
		}
	}
	top := eventcache.Chunk{ID: 1, Previous: eventcache.MaxChunkID}
	if _, err := eventcache.FromLastChunk(0, &top, eventcache.MaxChunkID); err != nil {
		t.Errorf("after the highest number that there is a chunk can be the last: %v", err)
	}
	top = eventcache.Chunk{ID: eventcache.MaxChunkID, Previous: 1}
	if _, err := eventcache.FromLastChunk(0, &top, eventcache.MaxChunkID); err != nil {
		t.Errorf("a chunk can have the highest number that there is: %v", err)
	}
	l, err := eventcache.FromLastChunk(0, nil, 5)
	if err != nil || l.NumChunks() != 0 || l.LazyPrevious() != 0 {
		t.Fatalf("without a last chunk it is a list without chunks; it has %d, and the error %v", l.NumChunks(), err)
	}
	if err := l.PushItemsBack(named("a")...); err != nil {
		t.Fatal(err)
	}
	if last, _ := l.LastChunk(); last.ID != 6 {
		t.Errorf("the highest number was 5; a new chunk must have a higher one, it has %d", last.ID)
	}
	low, err := eventcache.FromLastChunk(0, &eventcache.Chunk{ID: 8, Previous: 9, Gap: &eventcache.Gap{}}, 2)
	if err != nil {
		t.Fatal(err)
	}
	if id, err := low.PushGapBack(eventcache.Gap{}); id != 10 || err != nil {
		t.Errorf("chunk 9 was seen, so a new one is to be 10; it is %d, %v", id, err)
	}
}

func TestOnlyThePreviousChunkIsPrepended(t *testing.T) {
	whole := eventcache.NewLinkedChunk(0)
	if err := whole.PrependChunk(eventcache.Chunk{ID: 1}); !errors.Is(err, eventcache.ErrNotPrevious) {
		t.Errorf("nothing is before a list without chunks; the error must match ErrNotPrevious, it is %v", err)
	}
	if err := whole.PushItemsBack(named("a")...); err != nil {
		t.Fatal(err)
	}
	if err := whole.PrependChunk(eventcache.Chunk{ID: 2, Next: 1}); !errors.Is(err, eventcache.ErrNotPrevious) {
		t.Errorf("nothing is before what is not lazy; the error must match ErrNotPrevious, it is %v", err)
	}
	for name, c := range map[string]struct {
		chunk eventcache.Chunk
		want  error
	}{
		"another one":               {eventcache.Chunk{ID: 1, Next: 5}, eventcache.ErrNotPrevious},
		"one that goes elsewhere":   {eventcache.Chunk{ID: 3, Next: 7}, eventcache.ErrNotPrevious},
		"one that goes nowhere":     {eventcache.Chunk{ID: 3}, eventcache.ErrNotPrevious},
		"one of a cycle":            {eventcache.Chunk{ID: 3, Previous: 7, Next: 5}, eventcache.ErrBroken},
		"one of a short cycle":      {eventcache.Chunk{ID: 3, Previous: 5, Next: 5}, eventcache.ErrBroken},
		"one without a number":      {eventcache.Chunk{Next: 5}, eventcache.ErrBroken},
		"a gap with events":         {eventcache.Chunk{ID: 3, Next: 5, Gap: &eventcache.Gap{}, Items: named("x")}, eventcache.ErrBroken},
		"one that is before itself": {eventcache.Chunk{ID: 3, Previous: 3, Next: 5}, eventcache.ErrBroken},
	} {
		l, err := eventcache.FromLastChunk(0, &eventcache.Chunk{ID: 7, Previous: 5, Items: named("b")}, 7)
		if err != nil {
			t.Fatal(err)
		}
		if err := l.PrependChunk(eventcache.Chunk{ID: 5, Previous: 3, Next: 7, Items: named("a")}); err != nil {
			t.Fatal(err)
		}
		if err := l.PrependChunk(c.chunk); !errors.Is(err, c.want) {
			t.Errorf("%s: the error must match %q, it is %v", name, c.want, err)
		}
		if got := letters(slices.Collect(l.Chunks())); got != "5[a] 7[b]" || l.LazyPrevious() != 3 || l.Updates() != nil {
			t.Errorf("%s was not prepended, and has changed the list to %s after chunk %d", name, got, l.LazyPrevious())
		}
	}
}

func TestFindLooksFromTheEnd(t *testing.T) {
	l := eventcache.NewLinkedChunk(2)
	if err := l.PushItemsBack(named("abcad")...); err != nil {
		t.Fatal(err)
	}
	var seen string
	at, e, found := l.Find(func(e eventcache.Event) bool { seen += string(e.ID); return e.ID == "a" })
	if want := (eventcache.Position{Chunk: 2, Index: 1}); !found || at != want || e.ID != "a" || seen != "da" {
		t.Errorf("of abcad the last a is at %v; Find returned %v, %s, %v, having looked at %s", want, at, e.ID, found, seen)
	}
	if at, e, found := l.Find(func(eventcache.Event) bool { return false }); found || at != (eventcache.Position{}) || e.ID != "" {
		t.Errorf("what is not there was found at %v", at)
	}
}

func TestSequencesCanBeLeft(t *testing.T) {
	l := eventcache.NewLinkedChunk(2)
	if err := l.PushItemsBack(named("abcde")...); err != nil {
		t.Fatal(err)
	}
	var got string
	for c := range l.Chunks() {
		got += fmt.Sprint(c.ID)
		break
	}
	for c := range l.ChunksBackward() {
		got += fmt.Sprint(c.ID)
		break
	}
	for _, e := range l.Items() {
		got += string(e.ID)
		break
	}
	for _, e := range l.ItemsBackward() {
		got += string(e.ID)
		break
	}
	if got != "13ae" {
		t.Errorf("the first of each sequence are 1, 3, a, e; they were %s", got)
	}
}

func TestAChunkThatWasReturnedCanBeAppendedTo(t *testing.T) {
	l := eventcache.NewLinkedChunk(8)
	if err := l.PushItemsBack(named("abcde")...); err != nil {
		t.Fatal(err)
	}
	if _, err := l.RemoveItemAt(eventcache.Position{Chunk: 1, Index: 4}); err != nil { // there is room behind the last one
		t.Fatal(err)
	}
	c, _ := l.LastChunk()
	longer := append(c.Items, named("x")...)
	if err := l.PushItemsBack(named("y")...); err != nil {
		t.Fatal(err)
	}
	if longer[4].ID != "x" {
		t.Errorf("events that a caller has put behind those of a chunk are the caller's; the list has put %s there", longer[4].ID)
	}
}

// TestAChangeWhileASequenceIsReadIsNoPanic: it is forbidden, and what comes after it is not said.
func TestAChangeWhileASequenceIsReadIsNoPanic(t *testing.T) {
	full := func() *eventcache.LinkedChunk {
		l := eventcache.NewLinkedChunk(4)
		if err := l.PushItemsBack(named("abcdefgh")...); err != nil {
			t.Fatal(err)
		}
		return l
	}
	for name, sequence := range map[string]func(l *eventcache.LinkedChunk, change func()){
		"Items": func(l *eventcache.LinkedChunk, change func()) {
			for range l.Items() {
				change()
			}
		},
		"ItemsBackward": func(l *eventcache.LinkedChunk, change func()) {
			for range l.ItemsBackward() {
				change()
			}
		},
		"Chunks": func(l *eventcache.LinkedChunk, change func()) {
			for range l.Chunks() {
				change()
			}
		},
		"ChunksBackward": func(l *eventcache.LinkedChunk, change func()) {
			for range l.ChunksBackward() {
				change()
			}
		},
	} {
		for what, change := range map[string]func(l *eventcache.LinkedChunk){
			"the first events are removed": func(l *eventcache.LinkedChunk) {
				for range 2 {
					first, _ := l.FirstChunk()
					_, _ = l.RemoveItemAt(eventcache.Position{Chunk: first.ID})
				}
			},
			"the last events are removed": func(l *eventcache.LinkedChunk) {
				for range 2 {
					last, _ := l.LastChunk()
					_, _ = l.RemoveItemAt(eventcache.Position{Chunk: last.ID, Index: len(last.Items) - 1})
				}
			},
			"all is cleared": func(l *eventcache.LinkedChunk) { l.Clear() },
		} {
			l, steps := full(), 0
			sequence(l, func() {
				if steps++; steps > 100 {
					t.Fatalf("%s does not end when meanwhile %s", name, what)
				}
				change(l)
			})
		}
	}
}
