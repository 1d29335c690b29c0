package media

import (
	"errors"
	"fmt"

	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"
)

// Request names a content: what it is of, and in which form. It is comparable.
// Two requests are the same content exactly if they are equal.
type Request struct {
	// URI is the content URI, or any other name, such as one that a client gives
	// to what it has not uploaded yet. It must not be empty (ErrRequest).
	URI id.ContentURIString

	// Format is the form. The zero value is the file itself.
	Format Format
}

// File names the file itself.
func File(uri id.ContentURIString) Request { return Request{URI: uri} }

// EncryptedFile names the content of an encrypted file, which is known by its
// URL. What is cached under it, decrypted or not, is up to the client.
func EncryptedFile(file *event.EncryptedFileInfo) Request { return Request{URI: file.URL} }

// Thumbnail names a thumbnail, scaled and not animated.
func Thumbnail(uri id.ContentURIString, width, height int) Request {
	return Request{URI: uri, Format: Format{Method: Scale, Width: width, Height: height}}
}

// Method is how a thumbnail is made of a picture, by its name in the specification.
type Method string

// The methods of the specification.
const (
	Crop  Method = "crop"
	Scale Method = "scale"
)

// Format is the form of a content. The zero value is the file itself, any other a thumbnail.
type Format struct {
	Method   Method
	Width    int
	Height   int
	Animated bool
}

// IsFile says whether the format is the file itself.
func (f Format) IsFile() bool { return f == Format{} }

// String returns "file", or a thumbnail's method and size, as in crop_64x48 or scale_64x48_animated.
// Different formats that Check accepts have different ones.
func (f Format) String() string {
	if f.IsFile() {
		return "file"
	}
	s := fmt.Sprintf("%s_%dx%d", f.Method, f.Width, f.Height)
	if f.Animated {
		s += "_animated"
	}
	return s
}

// ErrRequest is returned for a Request that names nothing: without a URI, or a
// thumbnail without a method, or with a negative size.
var ErrRequest = errors.New("this names no content")

// Check returns an error that matches ErrRequest where nothing is named.
func (r Request) Check() error {
	switch f := r.Format; {
	case r.URI == "":
		return fmt.Errorf("%w: it has no URI", ErrRequest)
	case !f.IsFile() && f.Method == "":
		return fmt.Errorf("%w: a thumbnail has no method", ErrRequest)
	case f.Width < 0 || f.Height < 0:
		return fmt.Errorf("%w: %v", ErrRequest, f)
	}
	return nil
}
