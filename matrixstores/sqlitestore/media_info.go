package sqlitestore

import (
	"encoding/binary"
	"fmt"

	"maunium.net/go/mautrix/id"

	"github.com/quiesce-go/quiesce/matrixstores/media"
)

// info is what is sealed of a content beside its chunks: it tells which chunks
// there have to be, and whose they are.
type info struct {
	request media.Request
	size    int64
	chunk   int64 // the size of every chunk but the last
}

const (
	// chunkSize is how much of a content is in one row: so much of a stream is in memory.
	chunkSize = 64 << 10

	// maxChunk is the largest that is read: a damaged number shall not ask for all memory.
	maxChunk = 16 << 20

	// maxChunks is how many the number of a chunk can count, one left over.
	maxChunks = 1<<32 - 1

	infoVersion = 1
)

// chunks returns how many there are.
func (i info) chunks() int64 { return (i.size + i.chunk - 1) / i.chunk }

// length returns how long a chunk is.
func (i info) length(number int64) int64 { return min(i.chunk, i.size-number*i.chunk) }

// encode is made of bytes, not JSON, because a URI is any string.
func (i info) encode() []byte {
	f := i.request.Format
	b := make([]byte, 0, 64+len(f.Method)+len(i.request.URI))
	b = append(b, infoVersion, 0)
	if f.Animated {
		b[1] = 1
	}
	for _, n := range []int64{i.size, i.chunk, int64(f.Width), int64(f.Height), int64(len(f.Method))} {
		b = binary.AppendUvarint(b, uint64(n))
	}
	return append(append(b, f.Method...), i.request.URI...)
}

func decodeInfo(b []byte) (i info, err error) {
	bad := func(what string) (info, error) {
		return info{}, fmt.Errorf("%w: media.info has %s", media.ErrBroken, what)
	}
	if len(b) < 2 || b[0] != infoVersion || b[1] > 1 {
		return bad("an unknown form")
	}
	f := media.Format{Animated: b[1] == 1}
	b = b[2:]
	var numbers [5]int64
	for k := range numbers {
		n, length := binary.Uvarint(b)
		if length <= 0 || int64(n) < 0 || int64(int(n)) != int64(n) {
			return bad("an impossible number")
		}
		numbers[k], b = int64(n), b[length:]
	}
	i.size, i.chunk, f.Width, f.Height = numbers[0], numbers[1], int(numbers[2]), int(numbers[3])
	if i.chunk < 1 || i.chunk > maxChunk || i.size > i.chunk*maxChunks || numbers[4] > int64(len(b)) {
		return bad("impossible sizes")
	}
	f.Method = media.Method(b[:numbers[4]])
	i.request = media.Request{URI: id.ContentURIString(b[numbers[4]:]), Format: f}
	return i, nil
}
