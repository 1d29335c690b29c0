package mediatest

// Reading as a stream.

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"testing/iotest"

	"pgregory.net/rapid"

	"github.com/quiesce-go/quiesce/conformance"
	"github.com/quiesce-go/quiesce/conformance/internal/trial"
	"github.com/quiesce-go/quiesce/lifecycle"
	"github.com/quiesce-go/quiesce/matrixstores/media"
)

var readerCases = []Case{
	{
		Name:    "a-reader-is-a-reader",
		Promise: "a Reader is an io.ReadSeeker in every respect that the package io has",
		Origins: from("contract"), run: caseTestReader,
	},
	{
		Name:    "any-reads-and-seeks",
		Promise: "any reads and seeks return what a bytes.Reader of the content would, wherever they begin and end",
		Origins: from("contract"), run: caseSeeks,
	},
	{
		Name:    "many-readers",
		Promise: "any number of Readers of one content and of several are independent of each other, and so are their ends",
		Origins: from("contract"), run: caseManyReaders,
	},
	{
		Name:    "gone",
		Promise: "a Reader returns ErrGone from the moment on that its content was replaced or removed, in whichever way, and nothing of what has come in its place",
		Origins: from("contract", "DIV-32", "DIV-30"), run: caseGone,
	},
	{
		Name:    "not-gone",
		Promise: "a content that has got another name or another flag is still the same one to its Reader, and so is one when others of its URI go, or an upload to its name was not committed",
		Origins: from("contract"), run: caseNotGone,
	},
	{
		Name:    "closed-reader",
		Promise: "after Close a Reader returns ErrReaderClosed; closing it again is nil",
		Origins: from("contract"), run: caseReaderClosed,
	},
	{
		Name:    "reader-across-pauses",
		Promise: "a Reader that is open does not keep a Pause; it is refused while the store is paused, and goes on where it was after Resume; where its content has gone by then it says so",
		Origins: from("contract", "OBS-34"), Needs: needs(conformance.Gate), run: caseReaderPaused,
	},
}

func caseTestReader(p *probe) {
	s := p.open()
	for i, size := range []int{0, 1, 7, 700, 2000} {
		data := bytesOf(i, size)
		s.add(file("a"), data)
		if err := iotest.TestReader(s.opened(file("a")), data); err != nil {
			p.Broken("of a content of %d bytes: %v", size, err)
		}
	}
	// Of a large one some of it: TestReader goes byte by byte.
	data := s.add(file("a"), bytesOf(9, 300*kib))
	in := s.opened(file("a"))
	for name, wrap := range map[string]func(io.Reader) io.Reader{
		"half of what is asked for": iotest.HalfReader, "the error with the last bytes": iotest.DataErrReader,
	} {
		_, err := in.Seek(0, io.SeekStart)
		p.Must("Seek", err)
		got, err := io.ReadAll(wrap(in))
		if err != nil || !bytes.Equal(got, data) {
			p.Broken("read with a Reader that wants %s, it %s (%v)", name, difference(got, data), err)
		}
	}
	for _, c := range []struct {
		offset int64
		whence int
	}{{-1, io.SeekStart}, {-300*kib - 1, io.SeekEnd}, {-1, 3}, {0, -1}, {0, 17}, {math.MinInt64, io.SeekCurrent}} {
		_, err := in.Seek(10, io.SeekStart)
		p.Must("Seek", err)
		if at, err := in.Seek(c.offset, c.whence); err == nil {
			p.Broken("Seek(%d, %d) from 10 returned %d and no error", c.offset, c.whence, at)
		}
		p.reads("it after a Seek that was refused", in, data[10:])
	}
	for _, beyond := range []int64{300 * kib, 300*kib + 1, 1 << 40} {
		at, err := in.Seek(beyond, io.SeekStart)
		if err != nil || at != beyond {
			p.Broken("Seek to %d, which is beyond the end, returned %d, %v", beyond, at, err)
		}
		if n, err := in.Read(make([]byte, 10)); n != 0 || !errors.Is(err, io.EOF) {
			p.Broken("Read beyond the end returned %d, %v", n, err)
		}
	}
	at, err := in.Seek(-5, io.SeekEnd)
	p.Must("Seek", err)
	if at != 300*kib-5 {
		p.Broken("Seek to 5 bytes before the end returned %d", at)
	}
	p.reads("it", in, data[300*kib-5:])
}

func caseSeeks(p *probe) {
	s := p.open()
	const size = 5*64*kib + 77
	data := s.add(file("a"), bytesOf(1, size))
	p.Rapidly(p.count(5, 10, 100, 1000), func(t *rapid.T) {
		in, err := s.Open(p.Ctx, file("a"))
		if err != nil {
			t.Fatalf("Open returned: %v", err)
		}
		defer in.Close()
		want := bytes.NewReader(data)
		near := rapid.Custom(func(t *rapid.T) int64 { // around chunks and other edges
			edge := rapid.SampledFrom([]int64{0, 1000, 4 * kib, 64 * kib, 128 * kib, size / 2, size}).Draw(t, "edge")
			return edge + rapid.Int64Range(-70, 70).Draw(t, "offset")
		})
		for range rapid.IntRange(1, 30).Draw(t, "steps") {
			if rapid.IntRange(0, 2).Draw(t, "step") == 0 {
				whence := rapid.IntRange(0, 2).Draw(t, "whence")
				offset := near.Draw(t, "to")
				if whence != io.SeekStart && rapid.Bool().Draw(t, "back") {
					offset = -offset
				}
				before, _ := want.Seek(0, io.SeekCurrent)
				at, err := in.Seek(offset, whence)
				wanted, bad := want.Seek(offset, whence)
				if (err != nil) != (bad != nil) || err == nil && at != wanted {
					t.Fatalf("Seek(%d, %d) from %d returned %d, %v, and should have returned %d, %v", offset, whence, before, at, err, wanted, bad)
				}
				continue
			}
			before, _ := want.Seek(0, io.SeekCurrent)
			buf := make([]byte, max(0, near.Draw(t, "length")))
			n, err := io.ReadFull(in, buf)
			wanted := make([]byte, len(buf))
			m, bad := io.ReadFull(want, wanted)
			if n != m || !errors.Is(err, bad) || !bytes.Equal(buf[:n], wanted[:m]) {
				t.Fatalf("reading %d bytes from %d returned %d, %v, and should have returned %d, %v; or they are others", len(buf), before, n, err, m, bad)
			}
		}
	})
}

func caseManyReaders(p *probe) {
	s := p.open()
	a, b := s.add(file("a"), bytesOf(1, 400*kib)), s.add(file("b"), bytesOf(2, 300*kib))
	var all []func()
	for i := range 12 {
		r, data := file("a"), a
		if i%3 == 0 {
			r, data = file("b"), b
		}
		all = append(all, func() {
			in := s.opened(r)
			from := i * 20000
			_, err := in.Seek(int64(from), io.SeekStart)
			p.Must("Seek", err)
			p.reads(fmt.Sprintf("%s from %d on, beside others,", name(r), from), in, data[from:])
			p.Must("Close", in.Close())
		})
	}
	p.All(all...)
	// One goroutine, in turns; some are closed in between.
	var readers []media.Reader
	for range 10 {
		readers = append(readers, s.opened(file("a")))
	}
	for at := 0; at+50*kib <= len(a); at += 50 * kib {
		for _, in := range readers {
			buf := make([]byte, 50*kib)
			if _, err := io.ReadFull(in, buf); err != nil || !bytes.Equal(buf, a[at:at+len(buf)]) {
				p.Fatal("a Reader, beside others, does not return what is stored from %d on (%v)", at, err)
			}
		}
		p.Must("Close", readers[0].Close())
		readers = readers[1:]
	}
}

func caseGone(p *probe) {
	s := p.open()
	r, size := file("a"), 200*kib
	for _, c := range []struct {
		what string
		do   func()
	}{
		{"Remove", func() { p.Must("Remove", s.Remove(p.Ctx, r)) }},
		{"RemoveForURI", func() { p.Must("RemoveForURI", s.RemoveForURI(p.Ctx, r.URI)) }},
		{"Add of the same data", func() { s.add(r, bytesOf(1, size)) }},
		{"Add of more", func() { s.add(r, bytesOf(2, 2*size)) }},
		{"Add of nothing", func() { s.add(r, nil) }},
		{"Commit", func() { s.stream(r, bytesOf(3, size), 64*kib) }},
		{"Rename onto it", func() {
			s.add(file("b"), bytesOf(4, size))
			s.rename(file("b"), r, media.RenameOptions{})
		}},
		{"Rename, and Add to its old name and to its new one", func() {
			s.rename(r, file("b"), media.RenameOptions{})
			s.add(r, bytesOf(5, size))
			s.add(file("b"), bytesOf(6, size))
		}},
		{"an Add that is refused for its size", func() {
			s.policy(media.NoLimits().WithMaxFileSize(int64(size)))
			s.tooLarge(r, bytesOf(1, size+1))
			s.policy(media.NoLimits())
		}},
		{"a Write that is refused for its size", func() {
			s.policy(media.NoLimits().WithMaxFileSize(int64(size)))
			w := s.create(r)
			_, err := w.Write(make([]byte, size+1))
			p.Is("Write of more than the policy allows", err, media.ErrTooLarge)
			s.policy(media.NoLimits())
		}},
		{"Clean", func() {
			s.policy(media.NoLimits().WithMaxFileSize(1))
			s.cleans(1, int64(size))
			s.policy(media.NoLimits())
		}},
		{"Remove, and Add of the same data", func() {
			p.Must("Remove", s.Remove(p.Ctx, r))
			s.add(r, bytesOf(1, size))
		}},
	} {
		p.About("after "+c.what, func() {
			data := s.add(r, bytesOf(1, size))
			begin, inside, chunk := s.opened(r), s.opened(r), s.opened(r)
			half := make([]byte, 100*kib+11)
			_, err := io.ReadFull(inside, half)
			p.Must("Read", err)
			if !bytes.Equal(half, data[:len(half)]) {
				p.Broken("what was read before is not what was stored")
			}
			_, err = io.ReadFull(chunk, half[:10]) // a Reader may have more in memory than it has returned
			p.Must("Read", err)
			c.do()
			for range 2 {
				for where, in := range map[string]io.Reader{"at the beginning": begin, "inside": inside, "inside of a chunk": chunk} {
					n, err := in.Read(make([]byte, 64))
					if p.Is("Read "+where, err, media.ErrGone); n != 0 {
						p.Broken("Read %s returned %d bytes", where, n)
					}
				}
			}
			if _, err := inside.Seek(0, io.SeekStart); err == nil {
				_, err = io.ReadAll(inside)
				p.Is("Read after Seek", err, media.ErrGone)
			}
			for _, in := range []media.Reader{begin, inside, chunk} {
				p.Must("Close", in.Close())
			}
			p.Must("RemoveForURI", s.RemoveForURI(p.Ctx, r.URI))
			p.Must("Remove", s.Remove(p.Ctx, file("b")))
		})
	}
}

func caseNotGone(p *probe) {
	s := p.open()
	r := file("a")
	data := s.add(r, bytesOf(1, 300*kib))
	s.add(thumbnail("a", 1, 1), bytesOf(2, 10))
	in := s.opened(r)
	at := 0
	next := func() {
		buf := make([]byte, 30*kib)
		if _, err := io.ReadFull(in, buf); err != nil || !bytes.Equal(buf, data[at:at+len(buf)]) {
			p.Fatal("a Reader does not return what is stored from %d on: %v", at, err)
		}
		at += len(buf)
	}
	next()
	for _, c := range []struct {
		what string
		do   func()
	}{
		{"Rename of it", func() { s.rename(r, file("b"), media.RenameOptions{}) }},
		{"Rename of it over another one", func() {
			s.add(file("c"), bytesOf(3, 10))
			s.rename(file("b"), file("c"), media.RenameOptions{})
		}},
		{"Add to its old name", func() { s.add(r, bytesOf(4, 10)) }},
		{"SetIgnorePolicy", func() { s.setIgnore(file("c"), true) }},
		{"Rename to itself", func() { s.rename(file("c"), file("c"), media.RenameOptions{ObeyPolicy: true}) }},
		{"the end of others of its first URI", func() { p.Must("RemoveForURI", s.RemoveForURI(p.Ctx, r.URI)) }},
		{"an upload to its name that was not committed", func() {
			w := s.create(file("c"))
			p.write(w, bytesOf(5, 100*kib), 64*kib)
			p.Must("Close", w.Close())
		}},
		{"SetPolicy", func() { s.policy(media.NoLimits().WithMaxFileSize(1)) }},
		{"a pause", func() { s.nap() }},
	} {
		p.About("after "+c.what, func() { c.do(); next() })
	}
	p.reads("it", in, data[at:])
}

func caseReaderClosed(p *probe) {
	s := p.open()
	s.add(file("a"), bytesOf(1, 100))
	for _, read := range []int{0, 10, 100} {
		in := s.opened(file("a"))
		_, err := io.ReadFull(in, make([]byte, read))
		p.Must("Read", err)
		for range 2 {
			p.Must("Close", in.Close())
			_, err = in.Read(make([]byte, 10))
			p.Is("Read after Close", err, media.ErrReaderClosed)
			_, err = in.Seek(0, io.SeekStart)
			p.Is("Seek after Close", err, media.ErrReaderClosed)
		}
	}
}

func caseReaderPaused(p *probe) {
	s := p.open()
	data := s.add(file("a"), bytesOf(1, 500*kib))
	in, idle, replaced := s.opened(file("a")), s.opened(file("a")), s.opened(file("a"))
	at := 0
	for round := range 6 {
		buf := make([]byte, 50*kib+round)
		_, err := io.ReadFull(in, buf)
		p.Must("Read", err)
		if !bytes.Equal(buf, data[at:at+len(buf)]) {
			p.Fatal("what a Reader has returned from %d on is not what was stored", at)
		}
		at += len(buf)
		p.Must("Pause with open Readers", s.Pause(p.Ctx))
		s.state(lifecycle.Paused)
		for range 2 {
			n, err := in.Read(buf)
			if p.Is("Read while paused", err, lifecycle.ErrPaused); n != 0 {
				p.Broken("Read while paused returned %d bytes", n)
			}
		}
		p.Must("Resume", s.Resume(p.Ctx))
	}
	p.reads("it after pauses", in, data[at:])
	p.reads("it, of which nothing was read before the pauses,", idle, data)

	s.add(file("a"), bytesOf(2, 500*kib))
	s.nap()
	_, err := replaced.Read(make([]byte, 10))
	p.Is("Read of what was replaced before a pause", err, media.ErrGone)

	// One that waits goes on by itself.
	r := file("waits")
	s.add(r, data)
	waits, err := s.Open(waiting(p.Ctx), r)
	p.Must("Open", err)
	_, err = io.ReadFull(waits, make([]byte, 100))
	p.Must("Read", err)
	p.Must("Pause", s.Pause(p.Ctx))
	got := make(chan error, 1)
	p.Go(func() {
		rest, err := io.ReadAll(waits)
		if err == nil && !bytes.Equal(rest, data[100:]) {
			err = errors.New("that is not what was stored")
		}
		got <- err
	})
	p.Must("Resume", s.Resume(p.Ctx))
	p.Must("Read that waits for Resume", trial.Receive(p.T, "the end of a content that waits for Resume", got))
	p.Must("Close", waits.Close())

	// And one may be closed while paused.
	p.Must("Pause", s.Pause(p.Ctx))
	p.Must("Close of a Reader while paused", in.Close())
	_, err = in.Read(make([]byte, 1))
	p.Is("Read after Close", err, media.ErrReaderClosed)
	p.Must("Resume", s.Resume(p.Ctx))
}
