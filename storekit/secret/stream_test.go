package secret

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"testing"
	"testing/iotest"
)

func sealStream(t testing.TB, c *Cipher, plain []byte, at Place) []byte {
	t.Helper()
	var out bytes.Buffer
	w, err := c.SealWriter(&out, at)
	must(t, err)
	_, err = w.Write(plain)
	must(t, err)
	must(t, w.Close())
	return out.Bytes()
}

func openStream(c *Cipher, sealed []byte, at Place) ([]byte, error) {
	return io.ReadAll(c.OpenReader(bytes.NewReader(sealed), at))
}

func pattern(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i / 251)
	}
	return b
}

func TestStreamsOfEverySize(t *testing.T) {
	c, _ := newCipher(t, key(1))
	for _, n := range []int{0, 1, chunkSize - 1, chunkSize, chunkSize + 1, 2 * chunkSize, 2*chunkSize + 1, 3*chunkSize + 77} {
		plain := pattern(n)
		sealed := sealStream(t, c, plain, place)
		if int64(len(sealed)) != StreamSize(int64(n)) {
			t.Errorf("%d bytes became %d, not %d", n, len(sealed), StreamSize(int64(n)))
		}
		for name, r := range map[string]io.Reader{"whole": bytes.NewReader(sealed), "halves": iotest.HalfReader(bytes.NewReader(sealed)), "EOF with data": iotest.DataErrReader(bytes.NewReader(sealed))} {
			got, err := io.ReadAll(c.OpenReader(r, place))
			if err != nil || !bytes.Equal(got, plain) {
				t.Errorf("%d bytes, %s: %v", n, name, err)
			}
		}
	}
	small := pattern(1000)
	must(t, iotest.TestReader(c.OpenReader(bytes.NewReader(sealStream(t, c, small, place)), place), small))
}

// TestAStreamIsAllOfItInItsOrder: chunks are genuine one by one, so the stream has to hold them together.
func TestAStreamIsAllOfItInItsOrder(t *testing.T) {
	c, _ := newCipher(t, key(1))
	const full = chunkSize + tagSize
	a := sealStream(t, c, pattern(3*chunkSize+10), place)
	b := sealStream(t, c, pattern(3*chunkSize+10), place)
	whole := sealStream(t, c, pattern(2*chunkSize), place)
	head, chunk := a[:streamHeader], func(i int) []byte { return a[streamHeader+i*full : min(len(a), streamHeader+(i+1)*full)] }
	for _, s := range []struct {
		name string
		raw  []byte
		want error
	}{
		{"nothing", nil, ErrTampered},
		{"a part of the header", head[:10], ErrTampered},
		{"the header", head, ErrTampered},
		{"without the last chunk", slices.Concat(head, chunk(0), chunk(1), chunk(2)), ErrTruncated},
		{"the first chunk only", slices.Concat(head, chunk(0)), ErrTruncated},
		{"a byte less", a[:len(a)-1], ErrTampered},
		{"half a chunk less", a[:streamHeader+full+full/2], ErrTampered},
		{"without the first", slices.Concat(head, chunk(1), chunk(2), chunk(3)), ErrTampered},
		{"without the second", slices.Concat(head, chunk(0), chunk(2), chunk(3)), ErrTampered},
		{"two exchanged", slices.Concat(head, chunk(1), chunk(0), chunk(2), chunk(3)), ErrTampered},
		{"one twice", slices.Concat(head, chunk(0), chunk(0), chunk(1), chunk(2), chunk(3)), ErrTampered},
		{"the last twice", slices.Concat(a, chunk(3)), ErrTampered},
		{"a byte more", append(slices.Clone(a), 0), ErrTampered},
		{"a byte behind a full last chunk", append(slices.Clone(whole), 0), ErrTampered},
		{"a stream behind it", slices.Concat(a, b), ErrTampered},
		{"another stream's chunk", slices.Concat(head, chunk(0), b[streamHeader+full:]), ErrTampered},
		{"a value", append([]byte{valueVersion}, a[1:]...), ErrVersion},
		{"another key's number", append([]byte{streamVersion, 0, 0, 0, 9}, a[5:]...), ErrUnknownKey},
	} {
		got, err := openStream(c, s.raw, place)
		wantError(t, s.name, err, s.want)
		if !bytes.HasPrefix(pattern(3*chunkSize+10), got) {
			t.Errorf("%s: the reader gave out what nobody has sealed", s.name)
		}
	}
	_, err := openStream(c, a, Place{Table: "note", Column: "text", Row: []byte("row-2")})
	wantError(t, "another row", err, ErrTampered)
	// A value and a stream never open as each other, whatever their first byte says.
	value, err := c.Seal(nil, pattern(100), place)
	must(t, err)
	value[0] = streamVersion
	_, err = openStream(c, value, place)
	wantError(t, "a value as a stream", err, ErrTampered)
}

func TestAWriterThatFailsStaysFailed(t *testing.T) {
	c, k := newCipher(t, key(1))
	broken := errors.New("broken pipe")
	w, err := c.SealWriter(failing{broken}, place)
	must(t, err)
	_, err = w.Write(pattern(2 * chunkSize))
	wantError(t, "write", err, broken)
	_, err = w.Write([]byte("x"))
	wantError(t, "write again", err, broken)
	wantError(t, "close", w.Close(), broken)

	var out bytes.Buffer
	w, err = c.SealWriter(&out, place)
	must(t, err)
	must(t, w.Close())
	must(t, w.Close())
	_, err = w.Write([]byte("x"))
	wantError(t, "write after Close", err, ErrStreamClosed)

	w, err = c.SealWriter(&out, place)
	must(t, err)
	sealed := sealStream(t, c, pattern(3*chunkSize), place)
	r := c.OpenReader(bytes.NewReader(sealed), place)
	_, err = r.Read(make([]byte, 10))
	must(t, err)
	c.Forget()
	_, err = io.ReadAll(r)
	wantError(t, "a reader after Forget", err, ErrLocked)
	wantError(t, "a writer after Forget", w.Close(), ErrLocked)
	must(t, c.Unlock(ctx, k.header, key(1)))
	_, err = io.ReadAll(c.OpenReader(iotest.ErrReader(broken), place))
	wantError(t, "a reader that fails", err, broken)
}

type failing struct{ err error }

func (f failing) Write([]byte) (int, error) { return 0, f.err }

func TestAStreamOpensAfterARotation(t *testing.T) {
	c, k := newCipher(t, key(1))
	sealed := sealStream(t, c, pattern(100), place)
	current, err := c.Current(sealed)
	if err != nil || !current {
		t.Errorf("current: %v, %v", current, err)
	}
	must(t, c.Rotate(ctx, key(1), k.store))
	if current, err = c.Current(sealed[:prefixSize]); err != nil || current {
		t.Errorf("after the rotation: current %v, %v", current, err)
	}
	if got, err := openStream(c, sealed, place); err != nil || !bytes.Equal(got, pattern(100)) {
		t.Error(fmt.Errorf("after the rotation: %w", err))
	}
}
