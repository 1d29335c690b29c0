package codec

import (
	"encoding/json"
	"fmt"
	"reflect"

	"github.com/quiesce-go/quiesce/storekit/secret"
)

// SealJSON is Seal of v as JSON. Besides Seal's errors it returns those of json.Marshal.
func (c *Codec) SealJSON(at secret.Place, v any) ([]byte, error) {
	document, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("codec: encode %s: %w", at, err)
	}
	return c.Seal(at, document)
}

// OpenJSON opens what SealJSON returned into what into points to. After an
// error that may be filled in part. Besides Open's errors it returns a
// *DecodeError for a document that does not fit.
func (c *Codec) OpenJSON(at secret.Place, stored []byte, into any) error {
	document, err := c.Open(at, stored)
	if err != nil {
		return err
	}
	return DecodeJSON(at, document, into)
}

// JSON returns what SealJSON has sealed as a T, and the zero value with an error. The errors are those of OpenJSON.
func JSON[T any](c *Codec, at secret.Place, stored []byte) (T, error) {
	var v T
	if err := c.OpenJSON(at, stored, &v); err != nil {
		return *new(T), err
	}
	return v, nil
}

// DecodeJSON is OpenJSON for a document that was opened already. The error is a *DecodeError that names at.
func DecodeJSON(at secret.Place, document []byte, into any) error {
	if err := json.Unmarshal(document, into); err != nil {
		return decodeError(at, document, reflect.TypeOf(into), err)
	}
	return nil
}
