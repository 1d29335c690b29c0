package conformance

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// What only another process can witness, a child does: whether an exclusive
// lock can be had, what a second program sees, what a kill leaves behind.

// childVariable tells a process that it is a child, and what its job is.
const childVariable = "QUIESCE_CONFORMANCE_CHILD"

// answerPrefix tells the child's answers from what a test binary prints besides.
const answerPrefix = "conformance> "

// spawner makes the command of a child.
type spawner func(ctx context.Context) *exec.Cmd

// testBinary runs this test binary again, with the one test that called Run.
func testBinary(test string) spawner {
	return func(ctx context.Context) *exec.Cmd {
		cmd := exec.CommandContext(ctx, os.Args[0], "-test.run="+exactly(test), "-test.timeout=10m")
		cmd.Env = append(os.Environ(), testVariable+"="+test)
		return cmd
	}
}

// testVariable names the test whose Run started the child.
const testVariable = "QUIESCE_CONFORMANCE_TEST"

// isChild tells whether this process is a child, of that test where one is named.
func isChild(test string) bool {
	return os.Getenv(childVariable) != "" && (test == "" || os.Getenv(testVariable) == test)
}

// IsChild tells whether this process was started by Check, to be a child of it.
func IsChild() bool { return isChild("") }

// job is what a child is told to do.
type job struct {
	Name string
	Dir  string
	Args []string
}

// ChildMain is the child's side of Harness.Command: it does what the suite
// asked this process for, and returns the exit code. A program calls it at the
// start of main:
//
//	if conformance.IsChild() {
//		os.Exit(conformance.ChildMain(newHarness))
//	}
func ChildMain(newHarness func() *Harness) int {
	var j job
	if err := json.Unmarshal([]byte(os.Getenv(childVariable)), &j); err != nil {
		fmt.Fprintln(os.Stderr, "conformance: not started as a child:", err)
		return 2
	}
	_ = os.Unsetenv(childVariable) // the children of a child are its own
	do := jobs[j.Name]
	if do == nil {
		fmt.Fprintf(os.Stderr, "conformance: no job %q\n", j.Name)
		return 2
	}
	w := &worker{h: newHarness(), job: j, in: bufio.NewScanner(os.Stdin)}
	if err := do(context.Background(), w); err != nil {
		w.say("error %s", strings.ReplaceAll(err.Error(), "\n", " "))
		return 1
	}
	w.say("done")
	return 0
}

// worker is a child at work.
type worker struct {
	h   *Harness
	job job
	in  *bufio.Scanner
	mu  sync.Mutex
}

func (w *worker) say(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	fmt.Fprintf(os.Stdout, "\n"+answerPrefix+format+"\n", args...)
}

// await waits until the parent has something to say, or is gone.
func (w *worker) await() { w.in.Scan() }

func (w *worker) open(ctx context.Context, change func(*Options)) (*subject, error) {
	o := Options{Timeout: 20 * time.Second, Grace: 10 * time.Second, MaxReaders: 4}
	if change != nil {
		change(&o)
	}
	s, err := w.h.Open(ctx, w.job.Dir, o)
	if err != nil {
		return nil, err
	}
	return &subject{Store: s, dir: w.job.Dir}, nil
}

var jobs = map[string]func(context.Context, *worker) error{
	"exclusive": childExclusive,
	"put":       childPut,
	"get":       childGet,
	"hold":      childHold,
	"steps":     childSteps,
	"sweep":     childSweep,
	"mounted":   childMounted,
}

// childExclusive tries to take every file for itself alone.
func childExclusive(_ context.Context, w *worker) error {
	for _, path := range w.job.Args {
		if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err := takeExclusive(path); err != nil {
			return fmt.Errorf("%s: %w", filepath.Base(path), err)
		}
	}
	return nil
}

// childPut opens the store, writes one value and closes.
func childPut(ctx context.Context, w *worker) error {
	s, err := w.open(ctx, nil)
	if err != nil {
		return err
	}
	return errors.Join(s.tryPut(ctx, w.job.Args[0], w.job.Args[1]), s.Close(ctx))
}

// childGet says what values keys have.
func childGet(ctx context.Context, w *worker) error {
	s, err := w.open(ctx, nil)
	if err != nil {
		return err
	}
	for _, key := range w.job.Args {
		value, err := s.tryGet(ctx, key)
		if err != nil {
			return errors.Join(err, s.Close(ctx))
		}
		w.say("value %s", value)
	}
	return s.Close(ctx)
}

// childHold keeps a read open until it is told to go on.
func childHold(ctx context.Context, w *worker) error {
	s, err := w.open(ctx, nil)
	if err != nil {
		return err
	}
	err = s.Read(ctx, func(tx Tx) error {
		if _, err := tx.Get("anything"); err != nil { // a snapshot begins with the first read
			return err
		}
		w.say("holding")
		w.await()
		_, err := tx.Get("anything")
		return err
	})
	return errors.Join(err, s.Close(ctx))
}

// childSteps writes, and pauses up to the step with a number, where it waits to be killed.
func childSteps(ctx context.Context, w *worker) error {
	var stop, step int
	if _, err := fmt.Sscan(w.job.Args[0], &stop); err != nil {
		return err
	}
	at := func(name string) {
		w.say("step %s", name)
		if step++; step > stop {
			w.say("waiting")
			w.await()
		}
	}
	counting := false
	s, err := w.open(ctx, func(o *Options) {
		o.Step = func(name string) {
			if counting {
				at(name)
			}
		}
	})
	if err != nil {
		return err
	}
	for i := range 5 {
		if err := s.tryPut(ctx, "key", w.job.Args[1]+fmt.Sprint(i)); err != nil {
			return err
		}
		w.say("ack %s%d", w.job.Args[1], i)
		if _, err := s.tryGet(ctx, "key"); err != nil {
			return err
		}
	}
	counting = true
	at("before Pause")
	if err := s.Pause(ctx); err != nil {
		return err
	}
	at("after Pause")
	if err := s.Resume(ctx); err != nil {
		return err
	}
	at("after Resume")
	return s.Close(ctx)
}

// childSweep writes, pauses and resumes until it is killed.
func childSweep(ctx context.Context, w *worker) error {
	s, err := w.open(ctx, nil)
	if err != nil {
		return err
	}
	for i := 0; ; i++ {
		value := fmt.Sprint(w.job.Args[0], i)
		if err := s.tryPut(ctx, "key", value); err != nil {
			return err
		}
		w.say("ack %s", value)
		if err := s.Pause(ctx); err != nil {
			return err
		}
		if err := s.Resume(ctx); err != nil {
			return err
		}
	}
}

// childMounted runs the rest of a case in a file system of its own.
func childMounted(ctx context.Context, w *worker) error {
	if err := mountSmall(w.job.Dir); err != nil {
		w.say("cannot %v", err)
		return nil
	}
	for _, cs := range cases {
		if cs.Name != w.job.Args[0] {
			continue
		}
		p := &probe{ctx: ctx, h: w.h, cs: &cs, dir: filepath.Join(w.job.Dir, "store"), soon: w.h.limit() / 6, repeat: 10}
		p.subdir("store")
		p.cs.run = cs.mounted
		p.run()
		for _, f := range p.findings {
			text, err := json.Marshal(f.Saw)
			if err != nil {
				return err
			}
			w.say("finding %s", text)
		}
		if p.skipped != "" {
			w.say("cannot %s", p.skipped)
		}
		for _, n := range p.notes {
			w.say("note %s", strings.ReplaceAll(n, "\n", " "))
		}
	}
	return nil
}

// child is a child, seen from its parent.
type child struct {
	p     *probe
	job   string
	cmd   *exec.Cmd
	stdin io.WriteCloser
	lines chan string // its answers; closed when it has ended
	err   error       // valid then
	once  sync.Once
}

// child starts a process for a job in the store's directory.
func (p *probe) child(name string, args ...string) *child {
	return p.childIn(p.dir, nil, name, args...)
}

func (p *probe) childIn(dir string, change func(*exec.Cmd), name string, args ...string) *child {
	if p.spawn == nil {
		p.skip("%v", errNoChild)
	}
	text, err := json.Marshal(job{name, dir, args})
	if err != nil {
		p.fatal("the suite: %v", err)
	}
	cmd := p.spawn(p.ctx)
	if cmd.Env == nil {
		cmd.Env = os.Environ()
	}
	// The race detector would wait a second at the end of every process.
	cmd.Env = append(cmd.Env, childVariable+"="+string(text), "GORACE=atexit_sleep_ms=0 "+os.Getenv("GORACE"))
	cmd.WaitDelay = time.Second
	if change != nil {
		change(cmd)
	}
	var complaints strings.Builder
	cmd.Stderr = &complaints
	stdin, err := cmd.StdinPipe()
	if err != nil {
		p.fatal("the suite: %v", err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		p.fatal("the suite: %v", err)
	}
	c := &child{p: p, job: name, cmd: cmd, stdin: stdin, lines: make(chan string, 4096)}
	if err := cmd.Start(); err != nil {
		if change != nil {
			p.skip("a child with a file system of its own cannot be started here: %v", err)
		}
		p.fatal("the suite could not start another process: %v", err)
	}
	p.after(c.kill)
	go func() {
		defer close(c.lines)
		scan := bufio.NewScanner(stdout)
		scan.Buffer(nil, 1<<20)
		for scan.Scan() {
			if answer, ok := strings.CutPrefix(scan.Text(), answerPrefix); ok {
				c.lines <- answer
			}
		}
		if c.err = cmd.Wait(); c.err != nil && complaints.Len() > 0 {
			c.err = fmt.Errorf("%w: %s", c.err, strings.TrimSpace(firstLines(complaints.String(), 30)))
		}
	}()
	return c
}

// next is the child's next answer: a word and the rest.
func (c *child) next() (word, rest string, ok bool) {
	select {
	case line, ok := <-c.lines:
		word, rest, _ = strings.Cut(line, " ")
		return word, rest, ok
	case <-time.After(4 * c.p.soon):
		c.p.fatal("the other process (job %q) says nothing for %v", c.job, 4*c.p.soon)
		return "", "", false
	}
}

// expect waits for an answer and returns the rest of its line.
func (c *child) expect(want string) string {
	word, rest, ok := c.next()
	switch {
	case ok && word == want:
		return rest
	case !ok:
		c.p.fatal("the other process (job %q) has ended before it said %q: %v", c.job, want, c.err)
	default:
		c.p.fatal("the other process (job %q) said %q instead of %q", c.job, strings.TrimSpace(word+" "+rest), want)
	}
	return ""
}

// proceed tells the child to go on.
func (c *child) proceed() { _, _ = fmt.Fprintln(c.stdin, "go on") }

// kill ends the child with SIGKILL, or what the system has for that.
func (c *child) kill() {
	c.once.Do(func() { _ = c.cmd.Process.Kill() })
	for range c.lines { // until it is gone
	}
}

// outcome waits for the end of a job with one answer and returns its error.
func (c *child) outcome() error {
	word, rest, ok := c.next()
	switch {
	case !ok:
		c.p.fatal("the other process (job %q) has ended without an answer: %v", c.job, c.err)
	case word == "error":
		return errors.New(rest)
	}
	return nil
}
