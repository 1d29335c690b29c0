package mediatest

// Writing as a stream.

import (
	"context"
	"errors"
	"fmt"

	"github.com/quiesce-go/quiesce/conformance"
	"github.com/quiesce-go/quiesce/conformance/internal/trial"
	"github.com/quiesce-go/quiesce/lifecycle"
	"github.com/quiesce-go/quiesce/matrixstores/media"
)

var writerCases = []Case{
	{
		Name:    "visible-by-commit",
		Promise: "nothing of an upload can be seen before Commit, not by its name, not in what is counted but as an upload; Commit makes the whole of it visible, in the place of what has the name",
		Origins: from("contract", "OBS-35"), run: caseCommit,
	},
	{
		Name:    "not-committed",
		Promise: "an upload that was closed, or that nobody has ended, leaves nothing, and what has its name stays",
		Origins: from("contract"), run: caseNotCommitted,
	},
	{
		Name:    "too-large-a-stream",
		Promise: "a Writer returns ErrTooLarge when the content becomes larger than the policy allows, and not before; nothing is stored then, and nothing stale is left",
		Origins: from("contract", "DIV-32", "ME-02"), run: caseStreamTooLarge,
	},
	{
		Name:    "policy-changes-while-writing",
		Promise: "the policy that counts is the one in force at a Write and at Commit: what it does not allow any more is not stored, and nothing stale is left",
		Origins: from("contract", "ME-08"), run: casePolicyWhileWriting,
	},
	{
		Name:    "last-commit-wins",
		Promise: "any number of Writers may be open for one name; each has its own content, and the one that commits last, or the Add after it, is what is there",
		Origins: from("contract"), run: caseLastCommit,
	},
	{
		Name:    "closed-writer",
		Promise: "after Commit or Close a Writer returns ErrWriterClosed, and changes nothing any more; closing it again is nil",
		Origins: from("contract"), run: caseWriterClosed,
	},
	{
		Name:    "context-of-a-writer",
		Promise: "the context of Create is that of all writing; when it has ended nothing is stored, and Close still discards what there is",
		Origins: from("contract"), run: caseWriterContext,
	},
	{
		Name:    "writer-across-pauses",
		Promise: "a Writer that is open does not keep a Pause; it is refused while the store is paused, and goes on where it was after Resume; closing it meanwhile is no error, and what it leaves is removed",
		Origins: from("contract", "OBS-34"), Needs: needs(conformance.Gate), run: caseWriterPaused,
	},
	{
		Name:    "streams-across-a-pause-that-changes-nothing",
		Promise: "Readers and Writers of a store without a gate go on while it is paused",
		Origins: from("contract"), For: conformance.Gate, run: caseStreamsNoGate,
	},
}

func caseCommit(p *probe) {
	s := p.open()
	r := file("a")
	for i, size := range []int{0, 1, 64 * kib, 64*kib + 1, 300 * kib} {
		for _, old := range []bool{false, true} {
			p.About(fmt.Sprintf("%d bytes, in the place of something: %v", size, old), func() {
				before, want := media.Stats{Uploads: 1}, media.Stats{Contents: 1, Bytes: int64(size), Ignoring: 1}
				if old {
					s.add(r, bytesOf(100+i, 70*kib))
					before.Contents, before.Bytes = 1, 70*kib
				}
				check := func(when string) {
					s.counts(when, before)
					if old {
						s.everyWay(r, bytesOf(100+i, 70*kib))
					} else {
						s.absent(r)
						s.noneOf(r.URI)
					}
				}
				w := s.create(r, kept)
				check("after Create")
				data := bytesOf(i, size)
				p.write(w, data[:size/3], 10*kib)
				check("after a third was written")
				p.write(w, data[size/3:], 100*kib)
				check("before Commit")
				p.Clock.Add(hour)
				p.commit(w)
				s.counts("after Commit", want)
				s.accessed(r, p.Clock.Now())
				s.ignores(r)
				s.everyWay(r, data)
				p.Must("Remove", s.Remove(p.Ctx, r))
				s.counts("after Remove", media.Stats{})
			})
		}
	}
	// Also for a cleaning it is not there before.
	s.policy(media.NoLimits().WithMaxCacheSize(1000))
	w := s.create(r)
	p.write(w, bytesOf(1, 1000), 100)
	s.add(file("b"), bytesOf(2, 1000))
	s.cleans(0, 0)
	s.has(file("b"), bytesOf(2, 1000))
	p.commit(w)
	s.cleans(1, 1000)
	s.there("after a cleaning", []media.Request{r, file("b")}, r)
}

func caseNotCommitted(p *probe) {
	s := p.open()
	old := s.add(file("old"), bytesOf(1, 70*kib))
	only := media.Stats{Contents: 1, Bytes: 70 * kib}
	for _, size := range []int{0, 10, 64 * kib, 200 * kib} {
		for _, name := range []string{"old", "new"} {
			w := s.create(file(name), kept)
			p.write(w, bytesOf(2, size), 33*kib)
			p.Must("Close", w.Close())
			s.counts("after an upload that was closed", only)
			s.absent(file("new"))
			s.noneOf(mxc("new"))
		}
	}
	s.everyWay(file("old"), old)
	s.obeys(file("old"))
	// Nobody ends these; the suite closes the first three after the store.
	for i := range 3 {
		p.write(s.create(file("old")), bytesOf(i, 200*kib), 64*kib)
		p.write(s.create(file("new"), kept), bytesOf(i, 200*kib), 64*kib)
	}
	s.counts("with uploads that nobody ends", media.Stats{Contents: 1, Bytes: 70 * kib, Uploads: 6})
	s.nap()
	s.everyWay(file("old"), old)
	s.absent(file("new"))
	if p.has(conformance.Files) {
		s.reopen()
		got := s.stats()
		if got.Uploads = 0; got != only {
			p.Broken("in a store that was closed with open uploads Stats counts %+v, and should count %+v", got, only)
		}
		s.everyWay(file("old"), old)
		s.absent(file("new"))
	}
}

func caseStreamTooLarge(p *probe) {
	s := p.open()
	r := file("a")
	for _, c := range []struct{ limit, piece int }{{100, 1}, {100, 7}, {100, 1000}, {64 * kib, 64 * kib}, {100 * kib, 64 * kib}, {200 * kib, 10 * kib}, {0, 1}} {
		for _, old := range []media.AddOptions{{}, kept} {
			p.About(fmt.Sprintf("limit %d, written in pieces of %d", c.limit, c.piece), func() {
				s.policy(media.NoLimits().WithMaxFileSize(int64(c.limit)))
				other := s.add(thumbnail("a", 1, 1), bytesOf(1, 0))
				s.add(r, bytesOf(2, c.limit), old)

				// As much as is allowed.
				data := bytesOf(3, c.limit)
				s.stream(r, data, c.piece)
				s.everyWay(r, data)
				s.add(r, bytesOf(2, c.limit), old)

				// And a byte more.
				w := s.create(r)
				data = bytesOf(4, c.limit+1)
				taken := 0
				var err error
				for taken < len(data) && err == nil {
					var n int
					n, err = w.Write(data[taken:min(taken+c.piece, len(data))])
					taken += n
					if err == nil && taken <= c.limit {
						s.there("before it is too large", []media.Request{r}, r)
					}
				}
				p.Is(fmt.Sprintf("Write, after %d bytes were taken,", taken), err, media.ErrTooLarge)
				if taken > c.limit || taken < c.limit-c.piece+1 && c.piece <= c.limit {
					p.Broken("%d bytes were taken until ErrTooLarge", taken)
				}
				only := media.Stats{Contents: 1}
				check := func(when string) {
					s.absent(r)
					s.counts(when, only)
				}
				check("after ErrTooLarge")
				_, err = w.Write([]byte("x"))
				p.Is("Write after ErrTooLarge", err, media.ErrTooLarge)
				stored, err := w.Commit()
				if p.Is("Commit after ErrTooLarge", err, media.ErrTooLarge); stored {
					p.Broken("Commit after ErrTooLarge returned true")
				}
				check("after Write and Commit after ErrTooLarge")
				p.Must("Close", w.Close())
				check("after Close")
				s.has(thumbnail("a", 1, 1), other)

				// What ignores the policy may be of any size.
				s.stream(r, data, c.piece, kept)
				s.everyWay(r, data)
				s.ignores(r)
			})
		}
	}
}

func casePolicyWhileWriting(p *probe) {
	s := p.open()
	r := file("a")
	small, large := media.NoLimits().WithMaxCacheSize(100*kib), media.NoLimits().WithMaxFileSize(200*kib)
	for _, old := range []bool{false, true} {
		begin := func(size int, options ...media.AddOptions) media.Writer {
			s.policy(large)
			p.Must("Remove", s.Remove(p.Ctx, r))
			if old {
				s.add(r, bytesOf(1, 10))
			}
			w := s.create(r, options...)
			p.write(w, bytesOf(2, size), 64*kib)
			return w
		}
		w := begin(150 * kib)
		s.policy(small)
		stored, err := w.Commit()
		p.Must("Commit of what the policy does not allow any more", err)
		if stored {
			p.Broken("Commit of what the policy does not allow any more returned true")
		}
		s.absent(r)
		s.counts("after a Commit that has stored nothing", media.Stats{})
		_, err = w.Commit()
		p.Is("Commit after a Commit that has returned nil", err, media.ErrWriterClosed)

		w = begin(150 * kib)
		s.policy(small)
		_, err = w.Write([]byte("x"))
		p.Is("Write of what the policy does not allow any more", err, media.ErrTooLarge)
		s.absent(r)
		s.counts("after ErrTooLarge", media.Stats{})

		w = begin(150*kib, kept)
		s.policy(small)
		p.write(w, []byte("x"), 1)
		p.commit(w)
		s.has(r, append(bytesOf(2, 150*kib), 'x'))

		w = begin(150 * kib)
		s.policy(media.NoLimits())
		p.write(w, bytesOf(3, 100*kib), 64*kib)
		p.commit(w)
		s.has(r, append(bytesOf(2, 150*kib), bytesOf(3, 100*kib)...))
		p.Must("Remove", s.Remove(p.Ctx, r))

		w = begin(50 * kib) // small enough for both
		s.policy(small)
		p.commit(w)
		s.has(r, bytesOf(2, 50*kib))
		p.Must("Remove", s.Remove(p.Ctx, r))
	}
}

func caseLastCommit(p *probe) {
	s := p.open()
	r := file("a")
	for _, size := range []int{10, 150 * kib} {
		var all []media.Writer
		for i := range 4 {
			all = append(all, s.create(r, media.AddOptions{IgnorePolicy: i == 1}))
		}
		for part := range 3 { // in turns
			for i, w := range all {
				p.write(w, bytesOf(10*i+part, size), 64*kib)
			}
		}
		content := func(i int) (data []byte) {
			for part := range 3 {
				data = append(data, bytesOf(10*i+part, size)...)
			}
			return data
		}
		for _, i := range []int{2, 0} {
			p.commit(all[i])
			s.everyWay(r, content(i))
			s.obeys(r)
		}
		s.add(r, []byte("added in between"))
		p.commit(all[1])
		s.everyWay(r, content(1))
		s.ignores(r)
		p.Must("Remove", s.Remove(p.Ctx, r))
		s.absent(r)
		p.commit(all[3])
		s.everyWay(r, content(3))
		s.add(r, []byte("added at last"))
		for _, w := range all {
			p.Must("Close", w.Close())
		}
		s.everyWay(r, []byte("added at last"))
		s.counts("after several Writers for one name", media.Stats{Contents: 1, Bytes: int64(len("added at last"))})
	}
}

func caseWriterClosed(p *probe) {
	s := p.open()
	r := file("a")
	after := func(what string, w media.Writer) {
		for range 2 {
			n, err := w.Write(bytesOf(9, 100*kib))
			if p.Is("Write after "+what, err, media.ErrWriterClosed); n != 0 {
				p.Broken("Write after %s has taken %d bytes", what, n)
			}
			stored, err := w.Commit()
			if p.Is("Commit after "+what, err, media.ErrWriterClosed); stored {
				p.Broken("Commit after %s returned true", what)
			}
			p.Must("Close after "+what, w.Close())
			what += ", and Close,"
		}
	}
	for _, size := range []int{0, 10, 150 * kib} {
		w := s.create(r)
		p.write(w, bytesOf(1, size), 64*kib)
		p.commit(w)
		after("Commit", w)
		s.everyWay(r, bytesOf(1, size))
		w = s.create(r)
		p.write(w, bytesOf(2, size), 64*kib)
		p.Must("Close", w.Close())
		after("Close", w)
		s.everyWay(r, bytesOf(1, size))
		s.counts("after Writers that were closed", media.Stats{Contents: 1, Bytes: int64(size)})
		p.Must("Remove", s.Remove(p.Ctx, r))
		after("Commit, and Remove of the content", w)
		s.absent(r)
	}
}

func caseWriterContext(p *probe) {
	s := p.open()
	r := file("a")
	old := s.add(r, []byte("old"))
	for _, size := range []int{0, 10, 150 * kib} {
		ctx, cancel := context.WithCancel(p.Ctx)
		w, err := s.Create(ctx, r, media.AddOptions{})
		p.Must("Create", err)
		p.write(w, bytesOf(1, size), 64*kib)
		cancel()
		_, err = w.Write([]byte("x"))
		p.Is("Write with a context that has ended", err, context.Canceled)
		stored, err := w.Commit()
		if p.Is("Commit with a context that has ended", err, context.Canceled); stored {
			p.Broken("Commit with a context that has ended returned true")
		}
		s.has(r, old)
		p.Must("Close with a context that has ended", w.Close())
		s.counts("after a Writer whose context has ended", media.Stats{Contents: 1, Bytes: 3})
		s.has(r, old)
	}
}

func caseWriterPaused(p *probe) {
	s := p.open()
	r := file("a")
	for _, piece := range []int{100, 64 * kib, 90 * kib} {
		old := s.add(r, []byte("old"))
		w, abandoned, committed := s.create(r), s.create(r, kept), s.create(file("b"))
		data := bytesOf(piece, 5*piece)
		p.write(committed, []byte("b"), 1)
		for i := range 5 {
			p.write(abandoned, data[:piece], piece)
			p.write(w, data[i*piece:(i+1)*piece], piece)
			p.Must("Pause with open Writers", s.Pause(p.Ctx))
			s.state(lifecycle.Paused)
			for range 2 {
				n, err := w.Write(data[(i+1)*piece:])
				if i < 4 {
					if p.Is("Write while paused", err, lifecycle.ErrPaused); n != 0 {
						p.Broken("Write while paused has taken %d bytes", n)
					}
				}
				stored, err := committed.Commit()
				if p.Is("Commit while paused", err, lifecycle.ErrPaused); stored {
					p.Broken("Commit while paused returned true")
				}
			}
			p.Must("Resume", s.Resume(p.Ctx))
			s.has(r, old)
			s.absent(file("b"))
		}
		p.commit(w)
		p.commit(committed)
		s.everyWay(r, data)
		s.has(file("b"), []byte("b"))
		want := media.Stats{Contents: 2, Bytes: int64(len(data)) + 1, Uploads: 1}
		s.counts("after Commits across pauses", want)

		p.Must("Pause", s.Pause(p.Ctx))
		for range 2 {
			p.Must("Close of a Writer while paused", abandoned.Close())
			_, err := abandoned.Write([]byte("x"))
			p.Is("Write after Close", err, media.ErrWriterClosed)
		}
		p.Must("Resume", s.Resume(p.Ctx))
		want.Uploads = 0
		p.Eventually("an upload that was closed while paused is gone", func() bool { return s.stats() == want })
		s.everyWay(r, data)
		p.Must("Remove", s.Remove(p.Ctx, file("b")))
	}

	// Whoever waits gets through.
	w, err := s.Create(waiting(p.Ctx), r, media.AddOptions{})
	p.Must("Create", err)
	p.write(w, bytesOf(1, 100*kib), 64*kib)
	p.Must("Pause", s.Pause(p.Ctx))
	done := make(chan error, 1)
	p.Go(func() {
		_, err := w.Write(bytesOf(2, 100*kib))
		stored := false
		if err == nil {
			stored, err = w.Commit()
		}
		if err == nil && !stored {
			err = errors.New("it is not stored")
		}
		done <- err
	})
	p.Must("Resume", s.Resume(p.Ctx))
	p.Must("Write and Commit that wait for Resume", trial.Receive(p.T, "the end of a Write and a Commit that wait for Resume", done))
	s.everyWay(r, append(bytesOf(1, 100*kib), bytesOf(2, 100*kib)...))
}

func caseStreamsNoGate(p *probe) {
	s := p.open()
	data := s.add(file("a"), bytesOf(1, 200*kib))
	in, w := s.opened(file("a")), s.create(file("b"))
	p.write(w, data[:100*kib], 64*kib)
	p.Must("Pause", s.Pause(p.Ctx))
	p.reads("it while paused", in, data)
	p.write(w, data[100*kib:], 64*kib)
	p.commit(w)
	s.everyWay(file("b"), data)
	p.Must("Resume", s.Resume(p.Ctx))
	s.everyWay(file("b"), data)
}
