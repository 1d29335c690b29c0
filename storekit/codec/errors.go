package codec

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"

	"github.com/quiesce-go/quiesce/storekit/secret"
)

// ErrSyntax is matched by the error for a document that is no JSON.
var ErrSyntax = errors.New("it is no valid JSON")

// DecodeError is returned for a stored value that cannot be decoded. It
// contains nothing of the value, nor does anything that it wraps, so that it may be logged.
type DecodeError struct {
	Table  string
	Column string

	// Path is the place in a JSON document, such as content.members[3].name.
	// Names are those that the Go type knows; any other name of the document, such as
	// a key of a map, is data, and stands here as *. Path is empty for the
	// document as a whole, and where a type's own UnmarshalJSON has failed.
	Path string

	// Err is the reason. It matches secret.ErrTampered, secret.ErrVersion,
	// secret.ErrUnknownKey or ErrSyntax, is a *json.UnmarshalTypeError without
	// the value, or matches what a type's own decoding returned.
	Err error
}

// Error names table, column, the place in the document and the reason.
func (e *DecodeError) Error() string {
	at := e.Table + "." + e.Column
	if e.Path != "" {
		at += " at " + e.Path
	}
	return "codec: decode " + at + ": " + e.Err.Error()
}

// Unwrap returns the reason.
func (e *DecodeError) Unwrap() error { return e.Err }

// decodeError makes the error for a document that did not fit into a value of type t.
func decodeError(at secret.Place, document []byte, t reflect.Type, err error) error {
	e := &DecodeError{Table: at.Table, Column: at.Column}
	var syntax *json.SyntaxError
	var kind *json.UnmarshalTypeError
	var invalid *json.InvalidUnmarshalError
	switch {
	case errors.As(err, &syntax) && !json.Valid(document): // its text quotes the document
		e.Path, _ = pathAt(document, syntax.Offset, t)
		e.Err = fmt.Errorf("%w: it goes wrong at byte %d of %d", ErrSyntax, syntax.Offset, len(document))
	case errors.As(err, &kind):
		// A type that decodes itself counts from where its own part begins. It
		// is found out by the type, which is not the one that stands there.
		if path, there := pathAt(document, kind.Offset, t); there != nil && there == kind.Type {
			e.Path = path
		}
		word, _, _ := strings.Cut(kind.Value, " ") // "number 42" and the like
		e.Err = &json.UnmarshalTypeError{Value: word, Type: kind.Type, Offset: kind.Offset}
	case errors.As(err, &invalid):
		e.Err = invalid
	default:
		e.Err = hiddenError{err}
	}
	return e
}

// hiddenError is an error whose text may quote the document, as that of
// time.Time does. It can be recognised, and not read.
type hiddenError struct{ err error }

func (e hiddenError) Error() string {
	return fmt.Sprintf("the type's own decoding failed with a %T", e.err)
}

func (e hiddenError) Is(target error) bool { return errors.Is(e.err, target) }

// Format keeps every verb from printing what is inside.
func (e hiddenError) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, e.Error()) }
