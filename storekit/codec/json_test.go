package codec_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/quiesce-go/quiesce/storekit/codec"
)

type person struct {
	Name  string `json:"name"`
	Age   int8   `json:"age,omitempty"`
	Extra *extra
}

type extra struct {
	When  time.Time `json:"when"`
	Bytes []byte
}

// own decodes itself, so that offsets are counted from its beginning.
type own struct{ inner person }

func (o *own) UnmarshalJSON(b []byte) error { return json.Unmarshal(b, &o.inner) }

var errOwn = errors.New("own error that quotes SECRET")

type failing struct{}

func (failing) UnmarshalJSON(b []byte) error { return fmt.Errorf("cannot read %s: %w", b, errOwn) }

type shared struct {
	ID int `json:"id"`
}

type event struct {
	shared
	Content struct {
		Members []*person `json:"members"`
	} `json:"content"`
	ByUser  map[string]person `json:"by_user"`
	ByLevel map[int]string    `json:"by_level"`
	Pair    [2]int            `json:"pair"`
	Own     own               `json:"own"`
	Failing *failing          `json:"failing"`
	Any     any               `json:"any"`
	Quoted  int               `json:"quoted,string"`
	Hidden  int               `json:"-"`
}

// TestADecodeErrorSaysWhere: encoding/json names a part of the path only.
func TestADecodeErrorSaysWhere(t *testing.T) {
	onBoth(t, func(t *testing.T, c *codec.Codec) {
		for _, test := range []struct {
			document, path string
		}{
			{`"SECRET"`, ``},
			{`{"content":{"members":[{},{},{},{"name":12345678}]}}`, `content.members[3].name`},
			{`{"content":{"members":[{"name":"a","age":1},{"age":12345678}]}}`, `content.members[1].age`},
			{`{"content":{"members":[[]]}}`, `content.members[0]`},
			{`{"content":{"members":{"a":1}}}`, `content.members`},
			{`{"content":[]}`, `content`},
			{`{"content":{"members":[],"other":[[{"deep":{}}]]},"id":"SECRET"}`, `id`},
			{` { "content" : { "members" : [ { "name" : "x" } , { "name" : true } ] } }`, `content.members[1].name`},
			{`{"CONTENT":{"Members":[{"NAME":false}]}}`, `content.members[0].name`},
			{`{"by_user":{"@SECRET:example.org":{"name":1}}}`, `by_user.*.name`},
			{`{"by_user":{"@SECRET:example.org":"SECRET"}}`, `by_user.*`},
			{`{"by_level":{"1":"a","SECRET":"b"}}`, `by_level.*`},
			{`{"pair":[1,"SECRET"]}`, `pair[1]`},
			{`{"content":{"members":[{"Extra":{"Bytes":12345678}}]}}`, `content.members[0].Extra.Bytes`},
			{`{"own":{"name":12345678}}`, ``},
			{`{"failing":"SECRET"}`, ``},
			{`{"content":{"members":[{"Extra":{"when":"SECRET"}}]}}`, ``},
			{`{"quoted":"SECRET"}`, ``},

			{``, ``},
			{`SECRET`, ``},
			{`{"content":{"members":[{"name":"SECRET"},{"name":SECRET}]}}`, `content.members[1].name`},
			{`{"content":{"members":[{"name":"SECRET"},`, `content.members[1]`},
			{`{"content":{"members":[{"name":"SEC`, `content.members[0].name`},
			{`{"any":{"SECRET":[1,2,SECRET`, `any.*[2]`},
			{`{"id":1} SECRET`, ``},
		} {
			stored := got[[]byte](t)(c.Seal(place, []byte(test.document)))
			var into event
			err := c.OpenJSON(place, stored, &into)
			var e *codec.DecodeError
			if !errors.As(err, &e) {
				t.Errorf("%s: %v is no DecodeError", test.document, err)
				continue
			}
			if e.Path != test.path || e.Table != "note" || e.Column != "text" {
				t.Errorf("%s: it went wrong at %q of %s.%s, the error says %q", test.document, test.path, e.Table, e.Column, e.Path)
			}
			if json.Valid([]byte(test.document)) == errors.Is(err, codec.ErrSyntax) {
				t.Errorf("%s: %v: ErrSyntax is for what is no JSON, and for nothing else", test.document, err)
			}
			noData(t, err)
		}
	})
}

// noData checks everything that an error can be printed as, and what it wraps.
func noData(t *testing.T, err error) {
	t.Helper()
	for ; err != nil; err = errors.Unwrap(err) {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q"} {
			if text := fmt.Sprintf(verb, err); strings.Contains(text, "SECRET") || strings.Contains(text, "12345678") {
				t.Errorf("the error contains what is stored: %s", text)
			}
		}
	}
}

func TestATypesOwnErrorCanBeRecognised(t *testing.T) {
	var into event
	err := codec.DecodeJSON(place, []byte(`{"failing":"SECRET"}`), &into)
	wantError(t, "UnmarshalJSON", err, errOwn)
	var kind *json.UnmarshalTypeError
	err = codec.DecodeJSON(place, []byte(`{"id":12.5}`), &into)
	if !errors.As(err, &kind) || kind.Value != "number" || kind.Type.String() != "int" {
		t.Errorf("%v: a wrong type must stay an UnmarshalTypeError, without the value", err)
	}
}

func TestAWrongDestinationIsNoFaultOfTheDocument(t *testing.T) {
	for _, into := range []any{nil, person{}, (*person)(nil)} {
		var invalid *json.InvalidUnmarshalError
		if err := codec.DecodeJSON(place, []byte(`{}`), into); !errors.As(err, &invalid) {
			t.Errorf("%T: %v", into, err)
		}
	}
	if _, err := new(codec.Codec).SealJSON(place, math.NaN()); err == nil || errors.As(err, new(*codec.DecodeError)) {
		t.Errorf("what JSON cannot hold: %v", err)
	}
}

func TestJSONReturnsNothingHalf(t *testing.T) {
	p, err := codec.JSON[person](nil, place, []byte(`{"name":"a","age":"b"}`))
	if err == nil || p != (person{}) {
		t.Errorf("%+v, %v", p, err)
	}
}

// TestAPathIsBounded: nesting is in the hand of whoever made the document.
func TestAPathIsBounded(t *testing.T) {
	for _, document := range []string{strings.Repeat("[", 5000), strings.Repeat(`{"a":`, 5000), strings.Repeat("[", 20_000)} {
		var into any
		var e *codec.DecodeError
		if err := codec.DecodeJSON(place, []byte(document), &into); !errors.As(err, &e) || len(e.Path) > 200 {
			t.Errorf("%.10s: a path of %d bytes", document, len(e.Path))
		}
	}
}

// FuzzDecodeErrors: no document makes it panic, whatever it is decoded into.
func FuzzDecodeErrors(f *testing.F) {
	for _, s := range []string{`{"content":{"members":[{"name":1}]}}`, `{"by_level":{"x":1}}`, `]`, `{"a"}`, `{"a":1,}`, "\xff", `{"pair":[[`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, document []byte) {
		for _, into := range []any{new(event), new([]event), new(map[string]int), new(*int), new(any), new(own)} {
			var e *codec.DecodeError
			err := codec.DecodeJSON(place, document, into)
			if err != nil && !errors.As(err, &e) {
				t.Errorf("%T: %v", err, err)
			}
			if err != nil {
				_ = err.Error()
			}
		}
	})
}
