package eventcache

// Finding single members of an object, in JSON that is known to be valid. Every event that
// a client receives comes through here, and encoding/json would make a
// map of each of its objects for the few members that count.

import (
	"bytes"
	"encoding/json"
	"iter"
	"unicode/utf8"
)

// members are the names and the values of an object, in their order: none
// of anything else. A name that comes twice comes twice; for encoding/json, and so for Parse, the last one counts.
func members(object []byte) iter.Seq2[[]byte, []byte] {
	return func(yield func(name, value []byte) bool) {
		i := afterSpace(object, 0)
		if i == len(object) || object[i] != '{' {
			return
		}
		for i = afterSpace(object, i+1); i < len(object) && object[i] == '"'; {
			end := afterValue(object, i)
			name := unquoted(object[i:end])
			i = afterSpace(object, afterSpace(object, end)+1) // the colon
			end = afterValue(object, i)
			if !yield(name, object[i:end]) {
				return
			}
			if i = afterSpace(object, end); i < len(object) && object[i] == ',' {
				i = afterSpace(object, i+1)
			}
		}
	}
}

// afterSpace returns the index of what follows white space.
func afterSpace(b []byte, i int) int {
	for i < len(b) && (b[i] == ' ' || b[i] == '\n' || b[i] == '\t' || b[i] == '\r') {
		i++
	}
	return min(i, len(b))
}

// afterValue returns the index behind the value that begins at i.
func afterValue(b []byte, i int) int {
	for depth := 0; i < len(b); i++ {
		switch b[i] {
		case '"':
			if i = endOfString(b, i); depth == 0 {
				return min(i+1, len(b))
			}
		case '{', '[':
			depth++
		case '}', ']':
			if depth--; depth == 0 {
				return i + 1
			} else if depth < 0 { // behind a number, true, false or null
				return i
			}
		case ',', ' ', '\n', '\t', '\r':
			if depth == 0 {
				return i
			}
		}
	}
	return len(b)
}

// endOfString returns the index of the quote that ends the string which begins at i.
func endOfString(b []byte, i int) int {
	for i++; i < len(b); i++ {
		switch b[i] {
		case '"':
			return i
		case '\\':
			i++ // what is escaped
		}
	}
	return len(b)
}

// unquoted returns what a JSON string says; nil for anything else.
func unquoted(raw []byte) []byte {
	if len(raw) < 2 || raw[0] != '"' {
		return nil
	}
	if within := raw[1 : len(raw)-1]; bytes.IndexByte(within, '\\') < 0 && utf8.Valid(within) {
		return within
	}
	var s string
	if json.Unmarshal(raw, &s) != nil {
		return nil
	}
	return []byte(s)
}

// text returns a JSON string, and "" for anything else.
func text(raw []byte) string { return string(unquoted(raw)) }
