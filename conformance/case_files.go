package conformance

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/quiesce-go/quiesce/lifecycle"
)

// What the operating system, and other processes, see of a store that is paused.

func caseNothingHeld(p *probe) {
	s := p.open()
	for i := range 50 {
		s.put(fmt.Sprint("key", i), fmt.Sprint(i))
	}
	for round := range 3 {
		var wg sync.WaitGroup
		for i := range 16 {
			wg.Go(func() { s.wants("beside other reads", fmt.Sprint("key", i), fmt.Sprint(i)) })
		}
		wg.Wait()
		s.pause()
		s.nothingHeld(fmt.Sprintf("after Pause number %d returned nil", round+1))
		s.resume()
		s.put("round", fmt.Sprint(round))
	}
	s.close()
	s.nothingHeld("after Close returned nil")
}

func caseExclusive(p *probe) {
	s := p.open()
	s.put("a", "1")
	s.pause()
	if err := p.child("exclusive", p.h.Files(s.dir)...).outcome(); err != nil {
		p.broken("after Pause returned nil, another process could not take an exclusive lock: %v", err)
	}
	s.resume()
	s.wants("after another process had locked the files and let go", "a", "1")
	s.pause()
	if err := p.child("exclusive", p.h.Files(s.dir)...).outcome(); err != nil {
		p.broken("after a second cycle, another process could not take an exclusive lock: %v", err)
	}
}

func caseOtherProcess(p *probe) {
	s := p.open()
	s.put("a", "ours")
	s.pause()
	get := p.child("get", "a")
	if got := get.expect("value"); got != "ours" {
		p.broken("while the store was paused, another process opened it and read %q; written was %q", got, "ours")
	}
	if err := get.outcome(); err != nil {
		p.broken("while the store was paused, another process could not use it: %v", err)
	}
	if err := p.child("put", "a", "theirs").outcome(); err != nil {
		p.broken("while the store was paused, another process could not write to it: %v", err)
	}
	s.resume()
	s.wants("after another process had written while the store was paused", "a", "theirs")
	if rep, ok := s.Store.(reporter); ok && p.has(Report) {
		if got := rep.Report(); got == nil || got.Changed == lifecycle.ChangeNo {
			p.broken("another process has written while the store was paused, and the Report of the Resume says that nothing changed")
		}
	}
	s.serves("after another process had written")
}

func caseForeignReader(p *probe) {
	s := p.open()
	s.put("a", "1")
	other := p.child("hold")
	other.expect("holding")
	s.put("a", "2") // the other's snapshot is older than this
	ctx, cancel := p.within()
	defer cancel()
	s.pausing(ctx).succeeds("while another process reads")
	s.nothingHeld("after a Pause while another process reads")
	if rep, ok := s.Store.(reporter); ok && p.has(Report) {
		got := rep.Report()
		left := s.sideFiles()
		switch {
		case got == nil:
			p.broken("after a Pause while another process reads, Report returns nil")
		case got.CheckpointResult.Busy && len(got.Warnings) == 0:
			p.broken("another process kept the log from being written back, and the Report has no warning of it: %+v", got.CheckpointResult)
		case len(left) > 0 && len(got.Warnings)+len(got.Leftovers) == 0:
			p.broken("after a Pause while another process reads, %q lie beside the store, and the Report says nothing of it", left)
		default:
			p.note("the Report warns of %q and has the leftovers %q", got.Warnings, got.Leftovers)
		}
	}
	s.resume()
	s.wants("after a Resume while another process reads", "a", "2")
	other.proceed()
	if err := other.outcome(); err != nil {
		p.broken("a process that read while the store was paused and resumed ended with: %v", err)
	}
	s.pause()
	s.onlyMainLeft("after a Pause with nobody else there")
}

// onlyMainLeft checks that all files but the first are gone.
func (s *subject) onlyMainLeft(when string) {
	for _, f := range s.sideFiles() {
		s.p.broken("%s, %s lies beside the store", when, f)
	}
}

// sideFiles lists what lies beside the main file.
func (s *subject) sideFiles() (left []string) {
	var remain []string
	if s.p.h.Remain != nil {
		remain = s.p.h.Remain(s.dir)
	}
	for _, f := range s.p.h.Files(s.dir)[1:] {
		if st, err := os.Stat(f); err == nil && !slices.Contains(remain, f) {
			left = append(left, fmt.Sprintf("%s (%d bytes)", filepath.Base(f), st.Size()))
		}
	}
	return left
}

func caseMainFile(p *probe) {
	s := p.open()
	for i := range 20 {
		s.put(fmt.Sprint("key", i), "old")
	}
	// Operations in flight must not keep the log from being written back: it comes after them.
	var read *hold
	if p.has(Beside) {
		read = s.holdRead("in flight")
		_ = read.do(func(tx Tx) error { _, err := tx.Get("key0"); return err })
	}
	w := s.holdWrite("in flight")
	ctx, cancel := p.within()
	defer cancel()
	c := s.pausing(ctx)
	s.refusing()
	settle() // time enough for a checkpoint that comes too early
	if err := errors.Join(w.do(func(tx Tx) error { return tx.Put("key19", "new") }), w.end(nil)); err != nil {
		p.fatal("a write in flight that ended in time returned: %v", err)
	}
	settle()
	if read != nil {
		_ = read.end(nil)
	}
	c.succeeds("after the operations in flight had ended")
	s.onlyMainLeft("after a Pause with nobody else there")
	// The main file alone is copied, as a backup would.
	copied := p.subdir("copy")
	p.copyFile(p.h.Files(s.dir)[0], p.h.Files(copied)[0])
	other := p.openIn(copied)
	other.wants("in a copy of the main file of the paused store", "key19", "new")
	other.wants("in a copy of the main file of the paused store", "key18", "old")
	other.close()
}

func (p *probe) copyFile(from, to string) {
	content, err := os.ReadFile(from)
	if err == nil {
		err = os.WriteFile(to, content, 0o600)
	}
	if err != nil {
		p.fatal("copying the main file of a paused store: %v", err)
	}
}

// failingResume checks a Resume that has to fail: with a typed error, holding
// nothing, making nothing, and to be tried again.
func (s *subject) failingResume(what string, want ...error) {
	before := s.listing()
	for try := range 2 {
		ctx, cancel := s.p.within()
		err := s.Resume(ctx)
		cancel()
		matches := slices.ContainsFunc(want, func(w error) bool { return errors.Is(err, w) })
		switch {
		case err == nil:
			s.p.fatal("Resume of a store %s returned nil", what)
		case len(want) > 0 && !matches:
			s.p.broken("Resume number %d of a store %s returned %q (%T), which errors.Is does not match with %q", try+1, what, err, err, want)
		}
	}
	s.refuses("after a failed Resume of a store "+what, lifecycle.ErrPaused)
	s.pause() // waits for what the Resume may have begun
	s.nothingHeld("after a failed Resume of a store " + what)
	if after := s.listing(); after != before {
		s.p.broken("a failed Resume of a store %s has changed the files: from %q to %q", what, before, after)
	}
}

// listing is the names and sizes of what lies in the store's directory.
func (s *subject) listing() string {
	var b bytes.Buffer
	for _, f := range s.p.h.Files(s.dir) {
		if st, err := os.Stat(f); err == nil {
			fmt.Fprintf(&b, "%s: %d bytes; ", filepath.Base(f), st.Size())
		}
	}
	return b.String()
}

// pausedWith opens a store with one value and pauses it.
func (p *probe) pausedWith(value string) (s *subject, main string) {
	s = p.open()
	s.put("a", value)
	s.pause()
	return s, p.h.Files(p.dir)[0]
}

func (p *probe) must(err error) {
	if err != nil {
		p.fatal("the suite: %v", err)
	}
}

func caseDeleted(p *probe) {
	s, main := p.pausedWith("1")
	away := main + ".away"
	p.must(os.Rename(main, away))
	s.failingResume("whose file was deleted", lifecycle.ErrMissing)
	p.must(os.Rename(away, main))
	s.resume()
	s.wants("after the file was put back and a Resume", "a", "1")
	s.serves("after the file was put back and a Resume")
}

func caseDirectoryGone(p *probe) {
	s, _ := p.pausedWith("1")
	away := p.dir + ".away"
	p.must(os.Rename(p.dir, away))
	s.failingResume("whose directory is gone", lifecycle.ErrMissing)
	if _, err := os.Stat(p.dir); err == nil {
		p.fatal("a failed Resume has made the directory anew")
	}
	p.must(os.Rename(away, p.dir))
	s.resume()
	s.wants("after the directory was put back and a Resume", "a", "1")
}

func caseEmptied(p *probe) {
	for _, c := range []struct {
		what    string
		content []byte
	}{
		{"whose file was emptied", nil},
		{"whose file was overwritten with other bytes", bytes.Repeat([]byte("this is no store. "), 1000)},
	} {
		dir := p.dir
		p.dir = p.subdir(fmt.Sprint("emptied-", len(c.content)))
		s, main := p.pausedWith("1")
		p.copyFile(main, main+".away")
		p.must(os.WriteFile(main, c.content, 0o600))
		s.failingResume(c.what)
		p.copyFile(main+".away", main)
		s.resume()
		s.wants("after the content was put back and a Resume", "a", "1")
		s.close()
		p.dir = dir
	}
}

func caseReplaced(p *probe) {
	s, main := p.pausedWith("ours")
	elsewhere := p.subdir("other")
	other := p.openIn(elsewhere)
	other.put("a", "not ours")
	other.close()
	theirs := p.h.Files(elsewhere)[0]
	p.copyFile(main, main+".away")

	p.copyFile(theirs, main) // over it: the same inode
	s.failingResume("over whose file another store's was copied", lifecycle.ErrReplaced)
	p.copyFile(main+".away", main)
	s.resume()
	s.wants("after the content was put back and a Resume", "a", "ours")
	s.pause()

	p.must(os.Rename(main, main+".away"))
	p.copyFile(theirs, main) // in its place
	s.failingResume("in the place of whose file stands another store's", lifecycle.ErrReplaced)
	p.must(os.Remove(main))
	p.must(os.Rename(main+".away", main))
	s.resume()
	s.wants("after the file was put back and a Resume", "a", "ours")
}

func caseNewer(p *probe) {
	s, _ := p.pausedWith("1")
	p.must(p.h.Newer(p.ctx, p.dir))
	s.failingResume("whose schema a newer version of the program has raised", lifecycle.ErrSchemaNewer)
	p.must(p.h.Older(p.ctx, p.dir))
	s.resume()
	s.wants("after the schema was put back and a Resume", "a", "1")
}

// mounted has a child run the case's other half, in a small file system of its own.
func mounted(p *probe) {
	if apart == nil {
		p.skip("only on Linux can a process have a file system of its own")
	}
	c := p.childIn(p.subdir("mount"), apart, "mounted", p.cs.Name)
	for {
		switch word, rest, ok := c.next(); {
		case !ok:
			p.fatal("the process with the file system of its own has ended without an answer: %v", c.err)
		case word == "done":
			return
		case word == "cannot":
			p.skip("this machine cannot %s", rest)
		case word == "note":
			p.note("%s", rest)
		case word == "finding":
			var saw string
			p.must(json.Unmarshal([]byte(rest), &saw))
			p.broken("%s", saw)
		case word == "error":
			p.broken("the process with the file system of its own: %s", rest)
		}
	}
}

func mountedReadOnly(p *probe) {
	s, _ := p.pausedWith("1")
	mount := filepath.Dir(p.dir)
	if err := remount(mount, true); err != nil {
		p.skip("make a file system read-only: %v", err)
	}
	s.failingResume("on a file system that has become read-only", lifecycle.ErrInaccessible)
	p.must(remount(mount, false))
	s.resume()
	s.wants("after the file system was made writable and a Resume", "a", "1")
}

func mountedFull(p *probe) {
	s := p.open()
	s.put("a", "1")
	r := s.holdRead("keeps the log from being written back")
	_ = r.do(func(tx Tx) error { _, err := tx.Get("a"); return err })
	acked := map[string]string{"a": "1"}
	if p.has(Beside) {
		for i := range 50 {
			key, value := fmt.Sprint("key", i), string(bytes.Repeat([]byte{'a' + byte(i%26)}, 8<<10))
			if s.tryPut(p.ctx, key, value) != nil {
				break
			}
			acked[key] = value
		}
	}
	filler := filepath.Join(filepath.Dir(p.dir), "filler")
	fill(p, filler)
	if s.tryPut(p.ctx, "b", "2") == nil {
		acked["b"] = "2"
	}
	_ = r.end(nil)

	// Nobody can promise that a full disk takes what has to be written; but the
	// pause ends, holds nothing, and what was acknowledged is not lost.
	ctx, cancel := p.within()
	defer cancel()
	if err := s.pausing(ctx).wait("on a full disk"); err != nil {
		p.note("Pause on a full disk returned: %v", err)
	}
	if rep, ok := s.Store.(reporter); ok && rep.Report() != nil {
		p.note("on a full disk, the Report of the Pause warns of %q and has the leftovers %q", rep.Report().Warnings, rep.Report().Leftovers)
	}
	s.nothingHeld("after a Pause on a full disk")
	s.refuses("after a Pause on a full disk", lifecycle.ErrPaused)
	if err := s.Resume(ctx); err != nil {
		p.note("Resume on a full disk returned: %v", err)
	}
	_ = s.Pause(ctx)
	p.must(os.Remove(filler))
	s.resume()
	for key, value := range acked {
		got, err := s.tryGet(ctx, key)
		if err != nil || got != value {
			p.broken("after the disk had been full, and has space again, an acknowledged value is gone (key %q, %d bytes instead of %d, error %v)", key, len(got), len(value), errText(err))
		}
	}
	s.whole("after the disk had been full")
	s.pause()
	s.nothingHeld("after a Pause on a disk that had been full")
	s.onlyMainLeft("after a Pause on a disk that has space again")
}

// fill takes all the space that is left.
func fill(p *probe, path string) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY, 0o600)
	p.must(err)
	defer f.Close()
	for size := 1 << 20; size > 0; {
		if _, err := f.Write(make([]byte, size)); isFull(err) {
			size /= 2
		} else if err != nil {
			p.must(err)
		}
	}
}

func caseKilledAtSteps(p *probe) {
	var steps []string
	for step := range 100 {
		prefix := fmt.Sprintf("round %d, write ", step)
		c := p.child("steps", fmt.Sprint(step), prefix)
		last, at, whole := "", "", false
	listen:
		for {
			switch word, rest, ok := c.next(); {
			case !ok:
				p.fatal("a process that was to be killed in step %d has ended by itself: %v", step, c.err)
			case word == "ack":
				last = rest
			case word == "step":
				at = rest
			case word == "waiting":
				c.kill()
				steps = append(steps, at)
				break listen
			case word == "done":
				whole = true
				break listen
			case word == "error":
				p.fatal("a process that writes, pauses and resumes, after others were killed, says: %s", rest)
			}
		}
		p.afterKill(fmt.Sprintf("after a process was killed %q", at), last)
		if whole || len(p.findings) > 0 {
			break
		}
	}
	p.note("killed at: %q", steps)
	if len(steps) <= 3 {
		p.note("the store does not call Options.Step: within Pause, the moments of the kill are found by time (see killed-at-any-moment)")
	}
}

func caseKilledAnytime(p *probe) {
	// The whole span of a cycle is swept, in steps of its own length.
	for round := range 2 * p.repeat {
		c := p.child("sweep", fmt.Sprintf("round %d, write ", round))
		last := ""
		for last == "" {
			last = c.expect("ack")
		}
		// From here on the child pauses, resumes and writes without end.
		timer := time.NewTimer(time.Duration(round) * 400 * time.Microsecond)
		killed := false
		for !killed {
			select {
			case line, ok := <-c.lines:
				if !ok {
					p.fatal("a process that writes, pauses and resumes has ended: %v", c.err)
				}
				if value, isAck := cutAck(line); isAck {
					last = value
				} else {
					p.fatal("a process that writes, pauses and resumes says: %s", line)
				}
			case <-timer.C:
				killed = true
			}
		}
		c.once.Do(func() { _ = c.cmd.Process.Kill() })
		for line := range c.lines {
			if value, isAck := cutAck(line); isAck {
				last = value
			}
		}
		p.afterKill(fmt.Sprintf("after a process was killed at some moment of a cycle (round %d)", round), last)
		if len(p.findings) > 0 {
			return
		}
	}
}

func cutAck(line string) (value string, ok bool) {
	const prefix = "ack "
	if len(line) < len(prefix) || line[:len(prefix)] != prefix {
		return "", false
	}
	return line[len(prefix):], true
}

// afterKill opens the store that a killed process has left. The last write that
// was acknowledged is there, or one that was on its way when the kill came.
func (p *probe) afterKill(when, last string) {
	s, err := p.tryOpen(p.dir)
	if err != nil {
		p.fatal("%s, the store cannot be opened: %v", when, err)
	}
	got, err := s.tryGet(p.ctx, "key")
	switch {
	case err != nil:
		p.broken("%s, reading returned: %v", when, err)
	case round(got) != round(last) || writeNumber(got) < writeNumber(last):
		p.broken("%s, the value is %q; acknowledged was %q", when, got, last)
	}
	s.whole(when)
	s.serves(when)
	s.pause()
	s.nothingHeld(when + ", a new Open and a Pause")
	s.close()
}

// round is a value without the number at its end.
func round(value string) string { return strings.TrimRight(value, "0123456789") }

// whole asks the store itself, where it can tell.
func (s *subject) whole(when string) {
	if s.p.h.Whole == nil {
		return
	}
	if err := s.p.h.Whole(s.p.ctx, s.Store); err != nil {
		s.p.broken("%s, the store is damaged: %v", when, err)
	}
}

// writeNumber is the number at the end of a value.
func writeNumber(value string) int {
	n, unit := 0, 1
	for i := len(value) - 1; i >= 0 && value[i] >= '0' && value[i] <= '9'; i-- {
		n += int(value[i]-'0') * unit
		unit *= 10
	}
	return n
}
