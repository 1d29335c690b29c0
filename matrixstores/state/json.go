package state

import (
	"bytes"
	"encoding/json"
	"maps"
	"math"
	"reflect"
	"slices"
	"unicode/utf8"
)

// Servers pass on what any client has sent, so an event may have any JSON type in
// any place. What is in this file reads events so that one odd field costs that field and nothing else.

// text is a string in an event; anything else reads as "".
type text string

func (t *text) UnmarshalJSON(raw []byte) error {
	*t = text(textOf(raw))
	return nil
}

// flag is a bool in an event; anything else reads as false.
type flag bool

func (f *flag) UnmarshalJSON(raw []byte) error {
	*f = string(raw) == "true"
	return nil
}

// texts is a list of strings in an event; what is no string in it is left out.
type texts []string

func (t *texts) UnmarshalJSON(raw []byte) error {
	*t = nil
	var list []json.RawMessage
	if len(raw) == 0 || raw[0] != '[' || json.Unmarshal(raw, &list) != nil {
		return nil
	}
	for _, item := range list {
		if len(item) > 0 && item[0] == '"' {
			*t = append(*t, textOf(item))
		}
	}
	return nil
}

// textOf returns a JSON string, and "" for anything else.
func textOf(raw json.RawMessage) (s string) {
	if len(raw) < 2 || raw[0] != '"' {
		return ""
	}
	if plain := raw[1 : len(raw)-1]; raw[len(raw)-1] == '"' && isPlain(plain) {
		return string(plain)
	}
	if json.Unmarshal(raw, &s) != nil {
		return ""
	}
	return s
}

// isPlain says whether what is between the quotation marks of a JSON string stands for itself, byte for byte. That of most does.
func isPlain(b []byte) bool {
	for _, c := range b {
		if c < ' ' || c == '\\' || c == '"' {
			return false
		}
	}
	return utf8.Valid(b)
}

// integer returns a JSON number without its fraction, or one in a string, as some
// rooms have it; 0 for anything else.
func integer(raw json.RawMessage) int64 {
	n, _ := integerOf(raw)
	return n
}

func integerOf(raw json.RawMessage) (n int64, ok bool) {
	if len(raw) > 0 && raw[0] == '"' {
		raw = bytes.TrimSpace([]byte(textOf(raw)))
	}
	if json.Unmarshal(raw, &n) == nil && string(raw) != "null" {
		return n, true
	}
	var f float64
	if json.Unmarshal(raw, &f) != nil || string(raw) == "null" {
		return 0, false
	}
	switch {
	case f >= math.MaxInt64:
		return math.MaxInt64, true
	case f <= math.MinInt64:
		return math.MinInt64, true
	}
	return int64(f), true
}

// object returns the members of a JSON object, and nil for anything else.
func object(raw json.RawMessage) map[string]json.RawMessage {
	members, err := parseObject(raw)
	if err != nil {
		return nil
	}
	return members
}

// parseObject returns the members of a JSON object.
func parseObject(raw json.RawMessage) (members map[string]json.RawMessage, err error) {
	if !startsObject(raw) || json.Unmarshal(raw, &members) != nil {
		return nil, ErrNotJSON
	}
	return members, nil
}

// checkObject returns ErrNotJSON for what is no JSON object.
func checkObject(raw json.RawMessage) error {
	if !startsObject(raw) || !json.Valid(raw) {
		return ErrNotJSON
	}
	return nil
}

func startsObject(raw json.RawMessage) bool {
	trimmed := bytes.TrimLeft(raw, " \t\r\n")
	return len(trimmed) > 0 && trimmed[0] == '{'
}

// checkText returns ErrNotUTF8 where one of the texts is not UTF-8.
func checkText(texts ...string) error {
	for _, s := range texts {
		if !utf8.ValidString(s) {
			return ErrNotUTF8
		}
	}
	return nil
}

// checkAllText returns ErrNotUTF8 where a string anywhere in v, which encoding/json
// will write, is not UTF-8: it would be written as another one, and not come back as it was.
func checkAllText(v any) error { return checkValue(reflect.ValueOf(v)) }

func checkValue(v reflect.Value) error {
	switch v.Kind() {
	case reflect.String:
		return checkText(v.String())
	case reflect.Pointer, reflect.Interface:
		if !v.IsNil() {
			return checkValue(v.Elem())
		}
	case reflect.Slice, reflect.Array:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			return nil
		}
		for i := range v.Len() {
			if err := checkValue(v.Index(i)); err != nil {
				return err
			}
		}
	case reflect.Map:
		for it := v.MapRange(); it.Next(); {
			if err := checkValue(it.Key()); err != nil {
				return err
			}
			if err := checkValue(it.Value()); err != nil {
				return err
			}
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				if err := checkValue(v.Field(i)); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// sortedKeys returns the keys of a map in order, so that what is done for each happens in the same order in every store.
func sortedKeys[K ~string, V any](m map[K]V) []K { return slices.Sorted(maps.Keys(m)) }

// marshal is json.Marshal, without writing < as \u003c: what is raw JSON in v stays as it came, but for white space.
func marshal(v any) ([]byte, error) {
	var b bytes.Buffer
	b.Grow(512)
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}
