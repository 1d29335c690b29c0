package sqlitestore

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"

	"maunium.net/go/mautrix/id"

	"github.com/quiesce-go/quiesce/matrixstores/media"
	"github.com/quiesce-go/quiesce/storekit/secret"
)

// How a request, and what belongs to a content, look in the tables. An
// encrypted store hashes and seals. A plain one has a checksum instead, over a value and its
// place, so that both notice what a bad disk, or somebody's hand, has damaged or mixed up.

// contentID is random and names one content for its life: what is stored anew
// under the same name has another one.
type contentID [16]byte

func newContentID() contentID { return contentID(secret.NewRowID()) }

// chunkRow returns where a chunk of a content is.
func (id contentID) chunkRow(number int64) []byte {
	return binary.BigEndian.AppendUint32(id[:len(id):len(id)], uint32(number))
}

func (id contentID) infoPlace() secret.Place {
	return secret.Place{Table: "media", Column: "info", Row: id[:]}
}

func chunkPlace(row []byte) secret.Place {
	return secret.Place{Table: "chunk", Column: "data", Row: row}
}

// uriKey returns what is stored, and looked up, for a URI.
func (m *Media) uriKey(uri id.ContentURIString) ([]byte, error) {
	return m.Codec().KeyString("media.uri", string(uri))
}

// keys returns what is stored, and looked up, for a request. The format is
// hashed together with the URI: so nobody sees which contents have the same one.
func (m *Media) keys(r media.Request) (uri, format []byte, err error) {
	if uri, err = m.uriKey(r.URI); err != nil {
		return nil, nil, err
	}
	name := r.Format.String()
	if !m.Codec().Encrypted() {
		return uri, []byte(name), nil
	}
	b := binary.AppendUvarint(nil, uint64(len(r.URI)))
	b = append(append(b, r.URI...), name...)
	format, err = m.Codec().Key("media.format", b)
	return uri, format, err
}

const checksumSize = 4

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func checksum(at secret.Place, plain []byte) uint32 {
	return crc32.Update(crc32.Update(crc32.Checksum([]byte(at.Column), castagnoli), castagnoli, at.Row), castagnoli, plain)
}

// seal appends what is stored of a value to dst.
func (m *Media) seal(dst []byte, at secret.Place, plain []byte) ([]byte, error) {
	if m.Codec().Encrypted() {
		return m.Codec().AppendSeal(dst, at, plain)
	}
	dst = append(dst, plain...)
	return binary.BigEndian.AppendUint32(dst, checksum(at, plain)), nil
}

// open appends what seal was given to dst.
func (m *Media) open(dst []byte, at secret.Place, stored []byte) ([]byte, error) {
	if m.Codec().Encrypted() {
		return m.Codec().AppendOpen(dst, at, stored)
	}
	n := len(stored) - checksumSize
	if n < 0 || binary.BigEndian.Uint32(stored[n:]) != checksum(at, stored[:n]) {
		return nil, fmt.Errorf("%w: the checksum of %s is wrong", media.ErrBroken, at)
	}
	return append(dst, stored[:n]...), nil
}
