package main

// How a demo is told: as lines, with a live one below them on a terminal, or as JSON.

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/term"
)

// printer is told what happens, from one goroutine.
type printer interface {
	opened(*opening)
	progress(progress)
	every() time.Duration // how often progress is wanted; 0: never
	paused(*pauseRecord)
	summary(*summary)
	err() error // what stopped it from writing
}

// progress is the moment between two pauses.
type progress struct {
	next, of             int
	reads, writes, acked int64
	left                 time.Duration
}

// output keeps the first error, after which there is nothing more to say.
type output struct {
	w      io.Writer
	failed error
}

func (o *output) err() error { return o.failed }

func (o *output) write(s string) {
	if o.failed == nil {
		_, o.failed = io.WriteString(o.w, s)
	}
}

// jsonPrinter writes one object per line.
type jsonPrinter struct{ output }

func newJSONPrinter(w io.Writer) *jsonPrinter { return &jsonPrinter{output{w: w}} }

func (p *jsonPrinter) opened(*opening)       {}
func (p *jsonPrinter) progress(progress)     {}
func (p *jsonPrinter) every() time.Duration  { return 0 }
func (p *jsonPrinter) paused(r *pauseRecord) { p.line(r) }
func (p *jsonPrinter) summary(s *summary)    { p.line(s) }

func (p *jsonPrinter) line(v any) {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err) // the records above are wrong
	}
	p.write(string(b) + "\n")
}

// textPrinter writes for people.
type textPrinter struct {
	output
	width func() int // of the terminal; nil: there is none
	live  int        // how much of the live line stands there
}

func newTextPrinter(w io.Writer, width func() int) *textPrinter {
	return &textPrinter{output: output{w: w}, width: width}
}

// terminalWidth returns how to ask for the width of the terminal that w is, or nil if it is none.
func terminalWidth(w io.Writer) func() int {
	f, ok := w.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) || os.Getenv("TERM") == "dumb" {
		return nil
	}
	return func() int {
		width, _, err := term.GetSize(int(f.Fd()))
		if err != nil || width <= 0 {
			return 80
		}
		return width
	}
}

func (p *textPrinter) every() time.Duration {
	if p.width == nil {
		return 0
	}
	return 100 * time.Millisecond
}

// progress rewrites the live line.
func (p *textPrinter) progress(g progress) {
	if p.width == nil {
		return
	}
	p.show(fmt.Sprintf("     %s reads, %s writes, %s rows; pause %d of %d in %.1f s",
		thousands(g.reads), thousands(g.writes), thousands(g.acked), g.next, g.of, max(g.left, 0).Seconds()))
}

// show puts s in the place of the live line. Blanks and not escape sequences
// remove what stood there, since every terminal understands them.
func (p *textPrinter) show(s string) {
	room := p.width() - 1 // a full line would wrap, and stay
	if n := utf8.RuneCountInString(s); n > room {
		s = string([]rune(s)[:max(room, 0)])
	}
	n := utf8.RuneCountInString(s)
	p.write("\r" + s + strings.Repeat(" ", max(min(p.live, room)-n, 0)))
	p.live = n
}

// line writes a line that stays.
func (p *textPrinter) line(format string, args ...any) {
	s := fmt.Sprintf(format, args...)
	if p.width != nil && p.live > 0 {
		p.show("")
		p.write("\r")
	}
	p.write(strings.TrimRight(s, " ") + "\n")
}

func (p *textPrinter) opened(o *opening) {
	where := o.Path
	if o.Temporary {
		where += " (temporary)"
	}
	p.line("%s engine (SQLite %s), %s and a writer without rest, %s in %.4g s", o.Engine, o.SQLite, plural(o.Readers, "reader"), plural(o.Pauses, "pause"), o.Length.Seconds())
	p.line("database: %s", where)
	if o.Found > 0 {
		p.line("%s rows of an earlier demo are there, and are what was written", thousands(o.Found))
	}
	if o.Unproved != "" {
		p.line("This system cannot tell what a process holds (%s): nothing is claimed about descriptors, locks and maps.", o.Unproved)
	} else {
		p.line("open and busy, this process holds descriptors/locks/maps on the database: %v", o.Held)
		if !o.Held.all() {
			p.line("This system does not show what stands as \"?\", not even of an open database: nothing is claimed about it.")
		}
	}
	if o.Refused != "" {
		p.line("another process that wants it for itself is refused: %s", o.Refused)
	}
	p.line("")
	p.line("steps of each pause in milliseconds; held: descriptors/locks/maps")
	p.line(timeline, "pause", "busy", "drain", "readers", "checkpoint", "writer", "verify", "total", "held", "another process", "resume", "rows there")
}

const timeline = "%5v %5v %8v %8v %10v %8v %8v %8v  %-7v  %-15v %8v %11v"

func (p *textPrinter) paused(r *pauseRecord) {
	other := "was refused"
	if r.Exclusive {
		other = "locked it alone"
	}
	p.line(timeline, r.Number, r.InFlight, ms(r.Drain), ms(r.Readers), ms(r.Checkpoint), ms(r.Writer), ms(r.Verify), ms(r.Total),
		r.Held, other, ms(r.Resume), thousands(r.Rows))
	for _, h := range r.Holders {
		p.line("      HELD: %s", h)
	}
	if r.Lost > 0 {
		p.line("      LOST: %s rows", thousands(r.Lost))
	}
}

func (p *textPrinter) summary(s *summary) {
	p.line("")
	if s.Interrupted {
		p.line("ended early, as asked")
	}
	row := func(name, format string, args ...any) { p.line("%-9s "+format, append([]any{name}, args...)...) }
	row("pauses", "%d; another process had the database for itself in %d of them", s.Pauses, s.Exclusive)
	row("held", "%s at most in a pause, %s after the end, %s while open (descriptors/locks/maps)", heldOrNone(s, s.HeldMax), heldOrNone(s, s.HeldClose), heldOrNone(s, s.Open))
	row("rows", "%s: %s lost or changed, %s that nobody acknowledged; integrity_check: %s", thousands(s.Rows), thousands(s.Lost), thousands(s.Extra), orUnknown(s.Integrity))
	row("load", "%s reads, %s writes acknowledged in %.1f s", thousands(s.Reads), thousands(s.Writes), s.Seconds)
	if s.Pauses > 0 {
		row("pause", "p50 %s ms, max %s ms", ms(s.PauseP50), ms(s.PauseMax))
		row("resume", "p50 %s ms, max %s ms", ms(s.ResumeP50), ms(s.ResumeMax))
	}
	if !s.Temporary {
		row("kept", "%s", s.Path)
	}
	for _, problem := range s.Problems {
		p.line("FAILED: %s", problem)
	}
	if s.OK {
		p.line("%s", verdict(s))
	}
}

// verdict claims no more than was seen.
func verdict(s *summary) string {
	switch {
	case s.Pauses == 0:
		return "nothing was lost; there was no pause"
	case s.Unproved == "" && !s.HeldMax.all():
		return "nothing that this system shows was held in any pause, and nothing was lost"
	case s.Unproved != "":
		return "nothing was lost; what was held, this system cannot tell"
	}
	return "nothing was held in any pause, and nothing was lost"
}

// heldOrNone tells what nobody could see from what nobody has looked at.
func heldOrNone(s *summary, h *heldCount) string {
	if h == nil && s.Unproved == "" {
		return "-"
	}
	return h.String()
}

func orUnknown(s string) string {
	if s == "" {
		return "not run"
	}
	return s
}

// ms is d in milliseconds, to a hundredth; "-" for a step that was not taken.
func ms(d time.Duration) string {
	if d == 0 {
		return "-"
	}
	return fmt.Sprintf("%.2f", float64(d)/float64(time.Millisecond))
}

// thousands writes n with separators.
func thousands(n int64) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
