package mediatest

// Requests and contents as cases make them.

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"time"

	"maunium.net/go/mautrix/id"

	"github.com/quiesce-go/quiesce/matrixstores/media"
)

// mxc is a content URI.
func mxc(name string) id.ContentURIString { return id.ContentURIString("mxc://example.org/" + name) }

// file is the request for a file.
func file(name string) media.Request { return media.File(mxc(name)) }

// thumbnail is the request for a thumbnail of it.
func thumbnail(name string, width, height int) media.Request {
	return media.Thumbnail(mxc(name), width, height)
}

// bytesOf returns bytes that no other seed has, nor another size: every part of them differs.
func bytesOf(seed, size int) []byte {
	data := make([]byte, size)
	var key [32]byte
	binary.BigEndian.PutUint64(key[:], uint64(seed))
	binary.BigEndian.PutUint64(key[8:], uint64(size))
	_, _ = rand.NewChaCha8(key).Read(data) // it never fails
	return data
}

// marked returns bytes that carry their number and a checksum: of what somebody
// has read it can be told whether it is whole.
func marked(number uint32, size int) []byte {
	data := bytesOf(int(number), max(size, 8))
	binary.BigEndian.PutUint32(data, number)
	n := len(data) - 4
	binary.BigEndian.PutUint32(data[n:], crc32.ChecksumIEEE(data[:n]))
	return data
}

// whole returns the number that marked was called with, and an error where this is not what it returned.
func whole(data []byte) (number uint32, err error) {
	n := len(data) - 4
	if n < 4 || crc32.ChecksumIEEE(data[:n]) != binary.BigEndian.Uint32(data[n:]) {
		return 0, errors.New("these are bytes that nobody has stored so")
	}
	return binary.BigEndian.Uint32(data), nil
}

// short shows text of any length and kind in a finding.
func short(text string) string {
	if len(text) > 120 {
		return fmt.Sprintf("%.100q… (%d bytes)", text, len(text))
	}
	return fmt.Sprintf("%q", text)
}

// name is a request in a finding.
func name(r media.Request) string { return fmt.Sprintf("%v of %s", r.Format, short(string(r.URI))) }

const hour = time.Hour

func ptr[T any](v T) *T { return &v }
