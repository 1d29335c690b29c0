package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/quiesce-go/quiesce/driver/sqlite"
	"github.com/quiesce-go/quiesce/driver/sqlite/modernc"
	"github.com/quiesce-go/quiesce/internal/holders"
	"github.com/quiesce-go/quiesce/lifecycle"
)

var pauseLine = regexp.MustCompile(`(?m)^ +\d+ .*(\d+|\?)/(\d+|\?)/(\d+|\?) .*$`)

func TestADemoHoldsNothingInAnyPauseAndLosesNothing(t *testing.T) {
	needProof(t)
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		tmp := t.TempDir()
		r := finish(t, program(t, tmp, "demo", "--engine", engine.Name(), "--seconds", "1", "--pauses", "3"))
		r.expect(t, exitOK, engine.Name()+" engine", "0 lost or changed", "integrity_check: ok", "nothing was held in any pause, and nothing was lost")
		lines := pauseLine.FindAllString(r.stdout, -1)
		if len(lines) != 3 {
			t.Errorf("three pauses were asked for, and %d are shown", len(lines))
		}
		for _, line := range lines {
			if !strings.Contains(line, " 0/0/0 ") || !strings.Contains(line, "locked it alone") {
				t.Errorf("a pause must show 0/0/0 and the lock of another process: %s", line)
			}
		}
		if regexp.MustCompile(`holds .*: 0/0/0`).MatchString(r.stdout) || !strings.Contains(r.stdout, "is refused: BEGIN EXCLUSIVE") {
			t.Error("before, the open store must show what it holds, else the zeros mean nothing")
		}
		if strings.Contains(r.stdout, "\r") {
			t.Error("there is no live line in a pipe")
		}
		expectNothingIn(t, tmp)
	})
}

// records reads what --json printed.
func records(t *testing.T, text string) (pauses []pauseRecord, sum summary) {
	t.Helper()
	lines := strings.Split(strings.TrimSpace(text), "\n")
	for i, line := range lines {
		var into any = &sum
		if i < len(lines)-1 {
			pauses = append(pauses, pauseRecord{})
			into = &pauses[i]
		}
		d := json.NewDecoder(strings.NewReader(line))
		d.DisallowUnknownFields()
		if err := d.Decode(into); err != nil {
			t.Fatalf("line %d is no record of the documented fields: %v\n%s", i+1, err, line)
		}
	}
	return pauses, sum
}

func TestTheJSONOfADemoAgreesWithItself(t *testing.T) {
	needProof(t)
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		r := quiesce(t, "demo", "--json", "--engine", engine.Name(), "--seconds", "1", "--pauses", "3")
		r.expect(t, exitOK)
		pauses, sum := records(t, r.stdout)
		if len(pauses) != 3 || sum.Pauses != 3 || sum.Exclusive != 3 || sum.Type != "summary" || !sum.OK || sum.Engine != engine.Name() {
			t.Errorf("three good pauses and a summary of them were expected: %+v", sum)
		}
		if sum.HeldMax.some() || sum.HeldClose.some() || !sum.Open.some() {
			t.Errorf("something is held while open, and nothing in pauses and at the end: %v, %v, %v", sum.Open, sum.HeldMax, sum.HeldClose)
		}
		if sum.Lost != 0 || sum.Extra != 0 || sum.Integrity != "ok" || len(sum.Problems) != 0 || sum.Reads == 0 || sum.Rows < firstMessages+sum.Writes {
			t.Errorf("every write added at least one row, and all of them are there: %+v", sum)
		}
		var most time.Duration
		rows := int64(firstMessages)
		for i, p := range pauses {
			if p.Type != "pause" || p.Number != i+1 || !p.OK || p.Problem != "" {
				t.Errorf("pause %d: %+v", i+1, p)
			}
			if p.Held.String() != "0/0/0" && p.Held.all() || p.Held.some() || !p.Open.some() || len(p.Holders)+len(p.Leftovers) != 0 || !p.Exclusive {
				t.Errorf("pause %d must show what was held before, and nothing while paused: %+v", i+1, p)
			}
			if p.Rows < rows || p.Rows > sum.Rows || p.Lost != 0 {
				t.Errorf("pause %d: rows only grow, from %d to %d in the end: %d", i+1, rows, sum.Rows, p.Rows)
			}
			if steps := p.Drain + p.Readers + p.Checkpoint + p.Writer + p.Verify; steps > p.Total || steps == 0 {
				t.Errorf("pause %d: its steps took %v, and all of it %v", i+1, steps, p.Total)
			}
			rows, most = p.Rows, max(most, p.Total)
		}
		if sum.PauseMax != most || sum.PauseP50 > most || sum.PauseP50 == 0 {
			t.Errorf("the longest pause took %v, and the summary says %v, p50 %v", most, sum.PauseMax, sum.PauseP50)
		}
	})
}

func TestHelpDocumentsEveryFieldOfTheJSON(t *testing.T) {
	for _, record := range []any{pauseRecord{}, summary{}} {
		for f := range reflect.TypeOf(record).Fields() {
			name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			if !regexp.MustCompile(`\b` + name + `\b`).MatchString(demoHelp) {
				t.Errorf("demo --help does not name the field %q of %T", name, record)
			}
		}
	}
}

func TestADemoInADirectoryIsKeptAndContinued(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "made", "for it")
	quiesce(t, "demo", "--dir", dir, "--seconds", "0.2").expect(t, exitOK, "kept")
	quiesce(t, "demo", "--dir", dir, "--seconds", "0.2").expect(t, exitOK, "rows of an earlier demo are there, and are what was written")
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 || entries[0].Name() != fileName {
		t.Errorf("the database must be there, and neither log nor shared memory: %v %v", entries, err)
	}
}

func TestAForeignFileIsLeftAsItIs(t *testing.T) {
	foreign := map[string]func(t *testing.T, path string){
		"another's database": func(t *testing.T, path string) {
			db, err := sqlite.Open(t.Context(), sqlite.Config{Engine: modernc.Engine(), Path: path, ApplicationID: 42})
			if err == nil {
				err = errors.Join(db.Update(t.Context(), func(c *sqlite.Conn) error { return c.ExecScript(t.Context(), `CREATE TABLE mine (a)`) }), db.Close(t.Context()))
			}
			if err != nil {
				t.Fatal(err)
			}
		},
		"no database": func(t *testing.T, path string) {
			if err := os.WriteFile(path, []byte("notes of mine\n"), 0o600); err != nil {
				t.Fatal(err)
			}
		},
	}
	for name, put := range foreign {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, fileName)
			put(t, path)
			before, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			quiesce(t, "demo", "--dir", dir, "--seconds", "0.2").expect(t, exitUsage, path, "not a database of this demo", "--dir")
			after, err := os.ReadFile(path)
			if err != nil || !bytes.Equal(before, after) {
				t.Errorf("a file of somebody else must not be changed (%v)", err)
			}
			if entries, _ := os.ReadDir(dir); len(entries) != 1 {
				t.Errorf("nothing may be left beside it: %v", entries)
			}
		})
	}
}

func TestADirectoryThatCannotBeUsedIsAnErrorThatNamesIt(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	quiesce(t, "demo", "--dir", file).expect(t, exitUsage, file)
	occupied := t.TempDir()
	if err := os.Mkdir(filepath.Join(occupied, fileName), 0o700); err != nil {
		t.Fatal(err)
	}
	quiesce(t, "demo", "--dir", occupied).expect(t, exitUsage, occupied)
}

func TestADatabaseThatAnotherDemoUsesIsRefused(t *testing.T) {
	dir := t.TempDir()
	quiesce(t, "demo", "--dir", dir, "--seconds", "0.2").expect(t, exitOK)
	db, err := sqlite.Open(t.Context(), sqlite.Config{Engine: modernc.Engine(), Path: filepath.Join(dir, fileName)})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close(context.Background())
	quiesce(t, "demo", "--dir", dir, "--seconds", "0.2").expect(t, exitUsage, "in use by another process", dir)
}

func TestWithoutCgoMattnIsRefusedWithTheReason(t *testing.T) {
	if haveMattn(t) {
		t.Skip("this build has cgo; the other build runs it")
	}
	tmp := t.TempDir()
	finish(t, program(t, tmp, "demo", "--engine", "mattn")).expect(t, exitUsage, "cgo", "--engine modernc", "CGO_ENABLED=1")
	expectNothingIn(t, tmp)
}

// inProcess is a demo that the test can reach into. Its children are the program all the same.
func inProcess(t *testing.T, out io.Writer) *demo {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return &demo{
		engine: modernc.Engine(), readers: 2, pauses: 2, length: 200 * time.Millisecond, timeout: 500 * time.Millisecond,
		ask: sqlite.HeldBySelf, out: newTextPrinter(out, nil), dir: t.TempDir(),
		neighbour: neighbour{func(args ...string) *exec.Cmd {
			cmd := exec.Command(self, args...)
			cmd.Env = environment()
			return cmd
		}},
	}
}

func TestADescriptorThatIsHeldFailsTheDemoAndIsNamed(t *testing.T) {
	needProof(t)
	var out bytes.Buffer
	d := inProcess(t, &out)
	var extra *os.File
	d.opened = func(db *sqlite.DB) {
		var err error
		if extra, err = os.Open(db.Path()); err != nil {
			t.Fatal(err)
		}
	}
	sum, err := d.run(t.Context())
	extra.Close()
	if err != nil {
		t.Fatal(err)
	}
	if sum.OK || sum.Pauses != 1 || sum.HeldMax.Descriptors != 1 || sum.Lost != 0 {
		t.Errorf("one descriptor was held in the first pause, and the demo ends with it: %+v", sum)
	}
	if !strings.Contains(out.String(), "HELD: descriptor") || !strings.Contains(out.String(), "FAILED: ") || strings.Contains(out.String(), "nothing was held") {
		t.Errorf("what is held must be named:\n%s", out.String())
	}
}

func TestALostOrChangedRowFailsTheDemo(t *testing.T) {
	for what, script := range map[string]string{
		"lost":    `DELETE FROM messages WHERE seq = 1000`,
		"changed": `UPDATE messages SET body = 'something else' WHERE seq = 1000`,
	} {
		t.Run(what, func(t *testing.T) {
			var out bytes.Buffer
			d := inProcess(t, &out)
			d.opened = func(db *sqlite.DB) {
				err := db.Update(t.Context(), func(c *sqlite.Conn) error { return c.ExecScript(t.Context(), script) })
				if err != nil {
					t.Fatal(err)
				}
			}
			sum, err := d.run(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if sum.OK || sum.Lost != 1 || !strings.Contains(out.String(), "1 lost or changed") {
				t.Errorf("one row was %s: %+v\n%s", what, sum, out.String())
			}
		})
	}
}

func TestWhatTheSystemCannotTellIsNotCalledZero(t *testing.T) {
	t.Run("nothing at all", func(t *testing.T) {
		var out bytes.Buffer
		d := inProcess(t, &out)
		d.ask = func(context.Context, ...string) (sqlite.Held, error) { return sqlite.Held{}, holders.ErrUnsupported }
		sum, err := d.run(t.Context())
		if err != nil || !sum.OK || sum.Exclusive != 2 || sum.HeldMax != nil {
			t.Errorf("the demo goes on with the other proofs: %+v %v", sum, err)
		}
		if strings.Contains(out.String(), "0/0/0") || strings.Contains(out.String(), "nothing was held") || !strings.Contains(out.String(), "cannot tell") {
			t.Errorf("nobody knows what was held, so nothing may be claimed:\n%s", out.String())
		}
	})
	t.Run("no locks", func(t *testing.T) {
		needProof(t)
		var out bytes.Buffer
		d := inProcess(t, &out)
		d.ask = func(ctx context.Context, paths ...string) (sqlite.Held, error) {
			held, err := sqlite.HeldBySelf(ctx, paths...)
			var shown []sqlite.Holder
			for _, h := range held.Holders {
				if h.Kind != holders.KindLock {
					shown = append(shown, h)
				}
			}
			held.Holders = shown
			return held, err
		}
		sum, err := d.run(t.Context())
		if err != nil || sum.HeldMax == nil || sum.HeldMax.Locks != unknown || sum.HeldMax.Descriptors != 0 {
			t.Errorf("a system that never shows a lock does not show that there is none: %+v %v", sum, err)
		}
		if runtime.GOOS == "linux" && sum.OK {
			t.Error("on Linux locks must be seen while the store is open")
		}
	})
}

func TestAnInterruptEndsTheDemoCleanly(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("no process can send Ctrl-C to one other process there")
	}
	for _, when := range []string{"steps of each pause", "\n    1 "} { // before the first pause; after it
		tmp := t.TempDir()
		cmd := program(t, tmp, "demo", "--seconds", "3600", "--pauses", "7200")
		text := interruptAfter(t, cmd, when, func() error { return cmd.Process.Signal(os.Interrupt) })
		result{cmd.ProcessState.ExitCode(), text, ""}.expect(t, exitOK, "ended early, as asked", "0 lost or changed", "integrity_check: ok", "nothing was lost")
		expectNothingIn(t, tmp)
	}
}

func TestAReaderThatGoesAwayEndsTheDemoCleanly(t *testing.T) {
	tmp := t.TempDir()
	cmd := program(t, tmp, "demo", "--seconds", "3600", "--pauses", "7200")
	interruptAfter(t, cmd, "steps of each pause", nil)
	if code := cmd.ProcessState.ExitCode(); code != exitWrong {
		t.Errorf("the demo could not be shown to its end, so its status is 1 and not %d", code)
	}
	expectNothingIn(t, tmp)
}

// interruptAfter starts cmd and calls interrupt, or closes its output, when it has printed text. It returns all output.
func interruptAfter(t *testing.T, cmd *exec.Cmd, text string, interrupt func() error) string {
	t.Helper()
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var all strings.Builder
	lines := bufio.NewReader(stdout)
	for !strings.Contains(all.String(), text) {
		line, err := lines.ReadString('\n')
		all.WriteString(line)
		if err != nil {
			t.Fatalf("the output ended before %q: %v\n%s", text, err, all.String())
		}
	}
	if interrupt == nil {
		stdout.Close()
	} else if err := interrupt(); err != nil {
		t.Fatal(err)
	}
	if interrupt != nil {
		if _, err := io.Copy(&all, lines); err != nil {
			t.Fatal(err)
		}
	}
	_ = cmd.Wait() // the caller looks at the state
	return all.String()
}

func TestTheLiveLineFitsTheTerminalAndIsTakenAway(t *testing.T) {
	var out bytes.Buffer
	p := newTextPrinter(&out, func() int { return 40 })
	p.progress(progress{1, 10, 1234567, 89, 1000, time.Second})
	p.line("a line that stays")
	got := out.String()
	if p.every() == 0 || !strings.HasSuffix(got, "\r"+strings.Repeat(" ", 39)+"\ra line that stays\n") {
		t.Errorf("the live line must be blanked before another takes its place: %q", got)
	}
	for part := range strings.SplitSeq(got, "\r") {
		if len(strings.TrimSuffix(part, "\n")) > 39 {
			t.Errorf("a live line that fills 40 columns would wrap: %q", part)
		}
	}
}

func TestTheLedgerTellsLostRowsFromChangedOnes(t *testing.T) {
	ctx := t.Context()
	db, err := sqlite.Open(ctx, sqlite.Config{Engine: modernc.Engine(), Path: filepath.Join(t.TempDir(), fileName), WhenPaused: lifecycle.Fail})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close(context.Background())
	if _, err := prepare(ctx, db); err != nil {
		t.Fatal(err)
	}
	var half, end mark
	err = db.Update(ctx, func(c *sqlite.Conn) (err error) {
		if half, err = add(ctx, c, mark{}, 50); err == nil {
			end, err = add(ctx, c, half, 50)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		script string
		lost   int64
	}{
		{`SELECT 1`, 0},
		{`DELETE FROM messages WHERE seq IN (10, 60, 61)`, 3},
		{`DELETE FROM messages WHERE seq = 1`, 1},
		{`DELETE FROM messages WHERE seq > 95`, 5},
		{`UPDATE messages SET sender = '@eve:example.org' WHERE seq = 77`, 1},
		{`UPDATE messages SET sum = 0 WHERE seq = 100`, 1},
		{`DELETE FROM messages`, 100},
	} {
		undo := errors.New("undo")
		err := db.Update(ctx, func(conn *sqlite.Conn) error {
			if err := conn.ExecScript(ctx, c.script); err != nil {
				return err
			}
			a, err := checkOn(ctx, conn, mark{}, half)
			if err != nil {
				return err
			}
			b, err := checkOn(ctx, conn, half, end)
			if err != nil {
				return err
			}
			if a+b != c.lost {
				t.Errorf("after %q %d rows are lost or changed, and not %d", c.script, c.lost, a+b)
			}
			return undo
		})
		if !errors.Is(err, undo) {
			t.Error(err)
		}
	}
}
