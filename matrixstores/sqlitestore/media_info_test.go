package sqlitestore

import (
	"errors"
	"math"
	"testing"

	"github.com/quiesce-go/quiesce/matrixstores/media"
)

// FuzzMediaInfo: what is stored of a content, however damaged, is refused with
// ErrBroken, or is what encode has made of something.
func FuzzMediaInfo(f *testing.F) {
	for _, i := range []info{
		{media.File("mxc://example.org/a"), 0, chunkSize},
		{media.Thumbnail("\xff\x00", 1, math.MaxInt), 1 << 40, 1},
		{media.Request{URI: "x", Format: media.Format{Method: "m\x00_1x1", Width: 1, Animated: true}}, chunkSize, maxChunk},
	} {
		b := i.encode()
		got, err := decodeInfo(b)
		if err != nil && i.size <= i.chunk*maxChunks || err == nil && got != i {
			f.Errorf("%+v comes back as %+v (%v)", i, got, err)
		}
		f.Add(b)
		f.Add(b[:len(b)/2])
	}
	f.Add([]byte{infoVersion, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01, 1, 1, 1, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		i, err := decodeInfo(b)
		if err != nil {
			if !errors.Is(err, media.ErrBroken) {
				t.Errorf("the error is %v, and does not say that something is broken", err)
			}
			return
		}
		again, err := decodeInfo(i.encode())
		if err != nil || again != i {
			t.Errorf("%+v comes back as %+v (%v)", i, again, err)
		}
		if i.chunks() < 0 || i.chunks() > maxChunks || i.size > 0 && (i.length(i.chunks()-1) <= 0 || i.length(0) > i.chunk) {
			t.Errorf("%+v has %d chunks, the last one of %d bytes", i, i.chunks(), i.length(i.chunks()-1))
		}
	})
}
