package lifecycle_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/quiesce-go/quiesce/lifecycle"
)

// journal keeps what members were told, in order.
type journal struct {
	mu    sync.Mutex
	lines []string
}

func (j *journal) add(line string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.lines = append(j.lines, line)
}

// take returns the lines so far and forgets them.
func (j *journal) take() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	defer func() { j.lines = nil }()
	return strings.Join(j.lines, ", ")
}

// sorted is take for members that are told at the same time.
func (j *journal) sorted() string {
	lines := strings.Split(j.take(), ", ")
	slices.Sort(lines)
	return strings.Join(lines, ", ")
}

// part is a member that writes a journal and does what the test wants.
type part struct {
	name              string
	j                 *journal
	onPause, onResume func(ctx context.Context) error

	mu     sync.Mutex
	paused bool
	inside int
	t      testing.TB
}

func (p *part) Name() string { return p.name }

func (p *part) Pause(ctx context.Context) error  { return p.told(ctx, "pause", true) }
func (p *part) Resume(ctx context.Context) error { return p.told(ctx, "resume", false) }

// does sets what Pause and Resume do from now on.
func (p *part) does(pause, resume func(ctx context.Context) error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.onPause, p.onResume = pause, resume
}

func (p *part) told(ctx context.Context, op string, paused bool) error {
	p.j.add(op + " " + p.name)
	p.mu.Lock()
	do := p.onResume
	if paused {
		do = p.onPause
	}
	p.inside++
	if p.inside > 1 {
		p.t.Errorf("%s was told %s while it was still in another call; a group waits until the overtaken call has left the member", p.name, op)
	}
	p.mu.Unlock()
	defer func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.inside--
	}()
	if do != nil {
		if err := do(ctx); err != nil {
			return err
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.paused = paused
	return nil
}

func (p *part) isPaused() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.paused
}

// parts makes members a, b, c, …
func parts(t testing.TB, j *journal, n int) []*part {
	ps := make([]*part, n)
	for i := range ps {
		ps[i] = &part{name: string(rune('a' + i)), j: j, t: t}
	}
	return ps
}

func pausables[P lifecycle.Pausable](ps []P) []lifecycle.Pausable {
	var all []lifecycle.Pausable
	for _, p := range ps {
		all = append(all, p)
	}
	return all
}

// kinds are the two groups, for what holds for both.
var kinds = []struct {
	name string
	make func(lifecycle.GroupConfig, ...lifecycle.Pausable) *lifecycle.Group
}{
	{"Sequence", lifecycle.GroupConfig.Sequence},
	{"Parallel", lifecycle.GroupConfig.Parallel},
}

var bg = context.Background()

// bubble runs f in a bubble of its own, where time is virtual and a goroutine that is left over fails the test.
func bubble(t *testing.T, name string, f func(t *testing.T)) {
	t.Run(name, func(t *testing.T) { synctest.Test(t, f) })
}

// untilEnd waits for ctx, as a member does that is held up but listens.
func untilEnd(ctx context.Context) error {
	<-ctx.Done()
	return context.Cause(ctx)
}

func want(t testing.TB, err error, targets ...error) {
	t.Helper()
	for _, target := range targets {
		if !errors.Is(err, target) {
			t.Errorf("the error is %v; it must match %v", err, target)
		}
	}
}

func noError(t testing.TB, err error, promise string) {
	t.Helper()
	if err != nil {
		t.Errorf("%s; got %v", promise, err)
	}
}

var errBroken = errors.New("broken")

// result is what a call that runs beside the test came back with.
type result struct {
	err  error
	took time.Duration
	done chan struct{}
}

func start(f func() error) *result {
	r := &result{done: make(chan struct{})}
	began := time.Now()
	go func() {
		defer close(r.done)
		r.err = f()
		r.took = time.Since(began)
	}()
	return r
}

func (r *result) wait() error { <-r.done; return r.err }

func (r *result) returned() bool {
	select {
	case <-r.done:
		return true
	default:
		return false
	}
}

func TestSequencePausesFirstToLastAndResumesLastToFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := &journal{}
		p := parts(t, j, 5)
		g := lifecycle.Sequence(p[0], lifecycle.Sequence(p[1], lifecycle.Parallel(p[2])), lifecycle.Named("fourth", p[3]),
			lifecycle.Func{PauseFunc: p[4].Pause, ResumeFunc: p[4].Resume}, lifecycle.Func{})
		noError(t, g.Pause(bg), "Pause is nil when every member paused")
		if got := j.take(); got != "pause a, pause b, pause c, pause d, pause e" {
			t.Errorf("a Sequence pauses first to last, also where it is nested; got: %s", got)
		}
		noError(t, g.Resume(bg), "Resume is nil when every member resumed")
		if got := j.take(); got != "resume e, resume d, resume c, resume b, resume a" {
			t.Errorf("a Sequence resumes last to first, also where it is nested; got: %s", got)
		}
	})
}

func TestParallelTellsItsMembersAllAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := &journal{}
		p := parts(t, j, 4)
		var meeting sync.WaitGroup
		meet := func(context.Context) error { meeting.Done(); meeting.Wait(); return nil }
		for _, m := range p {
			m.onPause, m.onResume = meet, meet
		}
		g := lifecycle.Parallel(pausables(p)...)
		meeting.Add(len(p)) // one after another they would wait for ever, and the bubble would say so
		noError(t, g.Pause(bg), "Parallel pauses all at once")
		meeting.Add(len(p))
		noError(t, g.Resume(bg), "Parallel resumes all at once")
	})
}

func TestGroupOnPauseTellsEveryoneWhateverFailed(t *testing.T) {
	failures := []struct {
		name string
		do   func(ctx context.Context) error
		want error
	}{
		{"error", func(context.Context) error { return errBroken }, errBroken},
		{"panic", func(context.Context) error { panic(errBroken) }, errBroken},
		{"until its time ends", untilEnd, context.DeadlineExceeded},
		{"later than its time ends", func(context.Context) error { time.Sleep(time.Hour); return errBroken }, context.DeadlineExceeded},
	}
	for _, kind := range kinds {
		for _, failure := range failures {
			for i, position := range []string{"first", "second", "last"} {
				bubble(t, kind.name+"/"+failure.name+"/"+position, func(t *testing.T) {
					j := &journal{}
					p := parts(t, j, 3)
					p[i].onPause = failure.do
					g := kind.make(lifecycle.GroupConfig{}, pausables(p)...)
					err := g.Pause(within(t, time.Second))
					want(t, err, failure.want)
					var member *lifecycle.MemberError
					if !errors.As(err, &member) || member.Member != p[i].name || member.Op != "pause" {
						t.Errorf("the error names the member that failed, which is %s; got %v", p[i].name, err)
					}
					time.Sleep(2 * time.Hour) // the one who is late has returned, and the group has gone on
					if got := j.sorted(); got != "pause a, pause b, pause c" {
						t.Errorf("on Pause everyone is told, once, whatever failed; told: %s", got)
					}
					for k, m := range p {
						if k != i && !m.isPaused() {
							t.Errorf("%s is not paused; the failure of another member must not keep it from that", m.name)
						}
					}
					if s := g.State(); s != lifecycle.Pausing {
						t.Errorf("the state is %v; after a failed Pause it stays pausing", s)
					}
					p[i].onPause = nil
					noError(t, g.Pause(bg), "a failed Pause may be followed by another, which goes through to the members")
					if !p[i].isPaused() {
						t.Error("the second Pause returned nil without pausing the member that had failed before")
					}
				})
			}
		}
	}
}

func TestSequenceResumeStopsAtTheFirstFailure(t *testing.T) {
	for i, position := range []string{"first", "second", "last"} {
		for name, do := range map[string]func(context.Context) error{
			"error": func(context.Context) error { return errBroken },
			"panic": func(context.Context) error { panic(errBroken) },
		} {
			bubble(t, position+"/"+name, func(t *testing.T) {
				j := &journal{}
				p := parts(t, j, 3)
				p[i].onResume = do
				g := lifecycle.Sequence(pausables(p)...)
				noError(t, g.Pause(bg), "Pause")
				j.take()
				err := g.Resume(bg)
				want(t, err, errBroken)
				if got, all := j.take(), []string{"resume c", "resume b", "resume a"}; got != strings.Join(all[:3-i], ", ") {
					t.Errorf("Resume stops at the first failure, so that nothing starts on what did not open; told: %s", got)
				}
				if errors.Is(err, lifecycle.ErrNotAttempted) != (i > 0) {
					t.Errorf("members that Resume did not come to are reported with ErrNotAttempted, and only they; got %v", err)
				}
				for k := range i {
					if line := "resume " + p[k].name + ": " + lifecycle.ErrNotAttempted.Error(); !strings.Contains(err.Error(), line) {
						t.Errorf("the error does not say %q: %v", line, err)
					}
				}
				var member *lifecycle.MemberError
				if !errors.As(err, &member) || member.Member != p[i].name {
					t.Errorf("the first member that the error names is the one that failed; got %v", err)
				}
				if s := g.State(); s != lifecycle.Paused {
					t.Errorf("the state is %v; a failed Resume leaves the group paused", s)
				}
				p[i].onResume = nil
				noError(t, g.Resume(bg), "a failed Resume may be tried again")
				if s := g.State(); s != lifecycle.Active {
					t.Errorf("the state is %v after a Resume that returned nil", s)
				}
				for _, m := range p {
					if m.isPaused() {
						t.Errorf("%s is still paused after a Resume that returned nil", m.name)
					}
				}
			})
		}
	}
}

func TestGroupPauseAfterAFailedResumeGoesThroughToAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := &journal{}
		p := parts(t, j, 3)
		p[1].onResume = func(context.Context) error { return errBroken }
		g := lifecycle.Sequence(pausables(p)...)
		noError(t, g.Pause(bg), "Pause")
		want(t, g.Resume(bg), errBroken)
		j.take()
		noError(t, g.Pause(bg), "Pause")
		if got := j.take(); got != "pause a, pause b, pause c" {
			t.Errorf("a failed Resume has resumed some: a Pause after it must tell all, though the state is paused already; told: %s", got)
		}
	})
}

func TestParallelResumeTellsEveryoneWhateverFailed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := &journal{}
		p := parts(t, j, 3)
		p[0].onResume = func(context.Context) error { return errBroken }
		p[2].onResume = func(context.Context) error { panic("oh") }
		g := lifecycle.Parallel(pausables(p)...)
		noError(t, g.Pause(bg), "Pause")
		j.take()
		err := g.Resume(bg)
		want(t, err, errBroken)
		if got := j.sorted(); got != "resume a, resume b, resume c" {
			t.Errorf("Parallel tells all at once; told: %s", got)
		}
		var panicked *lifecycle.PanicError
		if !errors.As(err, &panicked) || panicked.Value != "oh" || len(panicked.Stack) == 0 {
			t.Errorf("a panic in a member is a *PanicError with its value and stack; got %v", err)
		}
		for _, name := range []string{"resume a", "resume c"} {
			if !strings.Contains(err.Error(), name) {
				t.Errorf("errors are joined, and each names its member; %q is not in %v", name, err)
			}
		}
	})
}

// odd is a member without a name.
type odd struct{ lifecycle.Func }

func TestGroupErrorsNameTheirMembers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broken := lifecycle.Func{PauseFunc: func(context.Context) error { return errBroken }}
		var gone *lifecycle.Connections[*fakeConn]
		inner := lifecycle.GroupConfig{Name: "stores"}.Parallel(lifecycle.Named("media", broken))
		g := lifecycle.GroupConfig{Name: "app"}.Sequence(lifecycle.Named("sync", broken), &odd{broken}, inner,
			lifecycle.Named("outer", lifecycle.Named("inner", broken)), &part{name: "queue", j: &journal{}, t: t, onPause: broken.PauseFunc}, nil, gone)
		err := g.Pause(bg)
		want(t, err, errBroken)
		for _, line := range []string{
			"app: pause sync: broken",
			"app: pause member 2 (lifecycle_test.odd): broken",
			"app: pause stores: stores: pause media: broken",
			"app: pause outer: broken",
			"app: pause queue: broken",
			"app: pause member 6 (<nil>): invalid member: is nil",
			"app: pause member 7 (lifecycle.Connections[",
		} {
			if !strings.Contains(err.Error(), line) {
				t.Errorf("no line of the error says %q:\n%v", line, err)
			}
		}
		var config *lifecycle.ConfigError
		if !errors.As(err, &config) {
			t.Errorf("a nil member is a *ConfigError, not a crash; got %v", err)
		}
	})
}

func TestGroupWithoutMembersPausesAndResumes(t *testing.T) {
	for _, kind := range kinds {
		bubble(t, kind.name, func(t *testing.T) {
			g := kind.make(lifecycle.GroupConfig{})
			noError(t, g.Pause(bg), "a group of nobody pauses")
			if s := g.State(); s != lifecycle.Paused {
				t.Errorf("the state is %v after Pause", s)
			}
			noError(t, g.Resume(bg), "a group of nobody resumes")
		})
	}
}

func TestGroupIsIdempotent(t *testing.T) {
	for _, kind := range kinds {
		bubble(t, kind.name, func(t *testing.T) {
			j := &journal{}
			p := parts(t, j, 2)
			slow := func(context.Context) error { time.Sleep(time.Millisecond); return nil }
			for _, m := range p {
				m.onPause, m.onResume = slow, slow
			}
			g := kind.make(lifecycle.GroupConfig{}, pausables(p)...)
			for _, call := range []struct {
				name string
				do   func(context.Context) error
			}{{"pause", g.Pause}, {"resume", g.Resume}} {
				var all []*result
				for range 100 {
					all = append(all, start(func() error { return call.do(bg) }))
				}
				for _, r := range all {
					noError(t, r.wait(), "any number of goroutines may "+call.name)
				}
				for range 10 {
					noError(t, call.do(bg), "to "+call.name+" again does nothing and returns nil")
				}
				if got := j.sorted(); got != call.name+" a, "+call.name+" b" {
					t.Errorf("110 calls, of which the first had something to do, told each member once; told: %s", got)
				}
			}
		})
	}
}

func TestGroupGoesThroughTheFirstTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := &journal{}
		p := parts(t, j, 2)
		g := lifecycle.Sequence(pausables(p)...)
		noError(t, g.Resume(bg), "Resume")
		if got := j.take(); got != "resume b, resume a" {
			t.Errorf("a new group does not know its members' states, so its first call tells all; told: %s", got)
		}
	})
}

func TestSequenceSharesTheTimeThatIsLeft(t *testing.T) {
	for _, op := range []string{"pause", "resume"} {
		bubble(t, op, func(t *testing.T) {
			j := &journal{}
			p := parts(t, j, 4)
			if op == "resume" {
				slices.Reverse(p)
			}
			shares := make([]time.Duration, 4)
			for i, m := range p {
				m.onPause = func(ctx context.Context) error {
					deadline, _ := ctx.Deadline()
					shares[i] = time.Until(deadline)
					switch i {
					case 0: // stuck, for all of its time
						if op == "pause" {
							return untilEnd(ctx)
						}
						time.Sleep(25 * time.Millisecond)
					case 1: // takes a third of its share
						time.Sleep(9 * time.Millisecond)
					}
					return nil
				}
			}
			ms := pausables(p)
			if op == "resume" {
				slices.Reverse(ms)
				for _, m := range p {
					m.onPause, m.onResume = nil, m.onPause
				}
			}
			g := lifecycle.Sequence(ms...)
			ctx := within(t, 100*time.Millisecond)
			if op == "pause" {
				err := g.Pause(ctx)
				want(t, err, context.DeadlineExceeded)
				if ctx.Err() != nil {
					t.Error("a stuck first member ate all of the time; it gets a share")
				}
				for _, m := range p[1:] {
					if !m.isPaused() {
						t.Errorf("%s is not paused; a stuck first member must not eat the others' time", m.name)
					}
				}
			} else {
				noError(t, g.Resume(ctx), "Resume")
			}
			// left/(n-i): 100/4; 75/3; 66/2; 66
			for i, ms := range []time.Duration{25, 25, 33, 66} {
				if shares[i] != ms*time.Millisecond {
					t.Errorf("member %d of 4 got %v; what is left of the time / (n - i) is %v", i+1, shares[i], ms*time.Millisecond)
				}
			}
		})
	}
}

func TestParallelGivesEveryoneAllOfTheTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := &journal{}
		p := parts(t, j, 3)
		for _, m := range p {
			m.onPause = func(ctx context.Context) error {
				if deadline, _ := ctx.Deadline(); time.Until(deadline) != 100*time.Millisecond {
					t.Errorf("%s got %v; in Parallel everyone gets all of the 100 ms", m.name, time.Until(deadline))
				}
				return nil
			}
		}
		noError(t, lifecycle.Parallel(pausables(p)...).Pause(within(t, 100*time.Millisecond)), "Pause")
	})
}

func TestGroupWithoutDeadlineHandsNoneDown(t *testing.T) {
	for _, kind := range kinds {
		bubble(t, kind.name, func(t *testing.T) {
			p := parts(t, &journal{}, 1)
			p[0].onPause = func(ctx context.Context) error {
				if deadline, has := ctx.Deadline(); has {
					t.Errorf("the member got the deadline %v, though nobody set one: its own time-out is what bounds it", deadline)
				}
				return nil
			}
			noError(t, kind.make(lifecycle.GroupConfig{}, p[0]).Pause(bg), "Pause")
		})
	}
}

func TestSequenceReachesALateMemberWithAnEndedContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := &journal{}
		p := parts(t, j, 3)
		p[0].onPause = func(context.Context) error { time.Sleep(time.Second); return nil } // deaf
		for _, m := range p[1:] {
			m.onPause = func(ctx context.Context) error {
				if ctx.Err() == nil {
					t.Errorf("%s was reached after the caller's time, and its context has not ended", m.name)
				}
				return nil
			}
		}
		g := lifecycle.Sequence(pausables(p)...)
		r := start(func() error { return g.Pause(within(t, 100*time.Millisecond)) })
		var held *lifecycle.HeldError
		if err := r.wait(); !errors.As(err, &held) || held.Step != lifecycle.StepMembers || r.took != 100*time.Millisecond {
			t.Errorf("a caller leaves at its deadline with a *HeldError at step members, also where a member is deaf; got %v after %v", err, r.took)
		}
		want(t, r.err, context.DeadlineExceeded)
		if !strings.Contains(r.err.Error(), "pause a: has not returned yet") {
			t.Errorf("the error does not name the member that the group is stuck in: %v", r.err)
		}
		time.Sleep(time.Hour)
		if got := j.take(); got != "pause a, pause b, pause c" {
			t.Errorf("a member that is reached late is paused with an ended context, never skipped; told: %s", got)
		}
		if s := g.State(); s != lifecycle.Paused {
			t.Errorf("all members have paused late, but the group is %v", s)
		}
	})
}

func TestGroupPauseWithAnEndedContextTellsEveryone(t *testing.T) {
	for _, kind := range kinds {
		bubble(t, kind.name, func(t *testing.T) {
			j := &journal{}
			p := parts(t, j, 3)
			g := kind.make(lifecycle.GroupConfig{}, pausables(p)...)
			ctx, cancel := context.WithCancel(bg)
			cancel()
			err := g.Pause(ctx)
			var held *lifecycle.HeldError
			if err != nil && !errors.As(err, &held) {
				t.Errorf("got %v", err)
			}
			synctest.Wait()
			if got := j.sorted(); got != "pause a, pause b, pause c" {
				t.Errorf("an ended context means that there is no time, not that nobody is told; told: %s", got)
			}
		})
	}
}

func TestGroupResumeWithAnEndedContextDoesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := &journal{}
		p := parts(t, j, 2)
		g := lifecycle.Sequence(pausables(p)...)
		noError(t, g.Pause(bg), "Pause")
		j.take()
		ctx, cancel := context.WithCancel(bg)
		cancel()
		want(t, g.Resume(ctx), context.Canceled)
		synctest.Wait()
		if got := j.take(); got != "" || g.State() != lifecycle.Paused {
			t.Errorf("a Resume that nobody waits for opens nothing; told %q, state %v", got, g.State())
		}
	})
}

func TestGroupPauseWithTimeAfterOneWithoutGivesItToTheMembers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := &journal{}
		p := parts(t, j, 3)
		p[0].onPause = func(context.Context) error { time.Sleep(time.Second); return nil } // deaf
		for _, m := range p[1:] {
			m.onPause = func(ctx context.Context) error { return ctx.Err() }
		}
		g := lifecycle.Sequence(pausables(p)...)
		want(t, g.Pause(within(t, 100*time.Millisecond)), context.DeadlineExceeded)
		noError(t, g.Pause(within(t, 10*time.Second)), "the second caller has time: the first one's is not what the members get any more")
	})
}

func TestGroupCallThatIsOvertakenReturnsAtOnce(t *testing.T) {
	for _, kind := range kinds {
		for _, first := range []string{"pause", "resume"} {
			bubble(t, kind.name+"/"+first, func(t *testing.T) {
				j := &journal{}
				p := parts(t, j, 3)
				deaf := func(ctx context.Context) error {
					time.Sleep(time.Second)
					if !errors.Is(context.Cause(ctx), lifecycle.ErrSuperseded) {
						t.Errorf("the context of the overtaken call ended with the cause %v; it must be ErrSuperseded, so that members interrupt nobody", context.Cause(ctx))
					}
					return nil
				}
				g := kind.make(lifecycle.GroupConfig{Name: "app"}, pausables(p)...)
				one, other := g.Pause, g.Resume
				if first == "resume" {
					one, other = other, one
				}
				if kind.name == "Sequence" {
					p[1].onPause, p[1].onResume = deaf, deaf
				} else {
					for _, m := range p {
						m.onPause, m.onResume = deaf, deaf
					}
				}
				overtaken := start(func() error { return one(bg) })
				time.Sleep(300 * time.Millisecond)
				for _, m := range p {
					m.does(nil, nil)
				}
				j.take()
				last := start(func() error { return other(bg) })
				err := overtaken.wait()
				want(t, err, lifecycle.ErrSuperseded)
				if overtaken.took != 300*time.Millisecond || !strings.HasPrefix(err.Error(), "app: "+first) {
					t.Errorf("the overtaken call returns at once, and its error names the group and the call; got %q after %v", err, overtaken.took)
				}
				noError(t, last.wait(), "the latest intent wins")
				if last.took != 700*time.Millisecond {
					t.Errorf("the later call took %v; it waits until the overtaken one has left the members that it is in", last.took)
				}
				if got := j.take(); kind.name == "Sequence" && (first == "pause" && got != "resume c, resume b, resume a" ||
					first == "resume" && got != "pause a, pause b, pause c") {
					t.Errorf("an overtaken call tells nobody further; told after it: %s", got)
				}
			})
		}
	}
}

// stores opens n Connections on one fake driver.
func stores(t testing.TB, d *fakeDriver, n int, cfg lifecycle.Config[*fakeConn]) []*lifecycle.Connections[*fakeConn] {
	t.Helper()
	var all []*lifecycle.Connections[*fakeConn]
	for i := range n {
		cfg.Name = fmt.Sprintf("store %d", i+1)
		own := newFake(t)
		if d != nil {
			own.stuck, own.onOpen = d.stuck, d.onOpen
		}
		s, err := lifecycle.Open(bg, own, cfg)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, s)
	}
	return all
}

// hold begins a Read that lasts until end is closed, and waits until it has begun.
func hold(s *lifecycle.Connections[*fakeConn], label string, end <-chan struct{}) *result {
	began := make(chan struct{})
	r := start(func() error {
		return s.Read(lifecycle.WithLabel(bg, label), func(c *fakeConn) error { close(began); return c.run(end) })
	})
	<-began
	return r
}

func TestGroupPauseThatIsOvertakenInterruptsNobody(t *testing.T) {
	for _, kind := range kinds {
		bubble(t, kind.name, func(t *testing.T) {
			d := newFake(t)
			s, err := lifecycle.Open(bg, d, lifecycle.Config[*fakeConn]{})
			if err != nil {
				t.Fatal(err)
			}
			inner := lifecycle.Parallel(s)
			g := kind.make(lifecycle.GroupConfig{}, lifecycle.NewController(inner))
			end := make(chan struct{})
			read := hold(s, "long", end)
			pause := start(func() error { return g.Pause(within(t, 2*time.Second)) })
			time.Sleep(time.Second)
			noError(t, g.Resume(within(t, 2*time.Second)), "a Resume during a Pause waits for no stuck reader")
			want(t, pause.wait(), lifecycle.ErrSuperseded)
			time.Sleep(time.Hour)
			close(end)
			noError(t, read.wait(), "a read that survived an overtaken pause is legitimate again")
			if n := d.interrupts.Load(); n != 0 {
				t.Errorf("%d interrupts; an overtaken pause interrupts nobody, through any number of groups", n)
			}
			noError(t, g.Pause(bg), "Pause")
			d.nothingHeld(t)
		})
	}
}

func TestGroupPauseThatIsOvertakenInterruptsNobodyUntilItsMemberIsReached(t *testing.T) {
	for _, composite := range composites {
		bubble(t, composite.name, func(t *testing.T) {
			s := stores(t, nil, 1, lifecycle.Config[*fakeConn]{})[0]
			slow := lifecycle.Func{ResumeFunc: deaf(time.Hour)}
			g := lifecycle.Sequence(composite.make(s), slow)
			end := make(chan struct{})
			read := hold(s, "long", end)
			pause := start(func() error { return g.Pause(within(t, 10*time.Second)) })
			time.Sleep(time.Second)
			resume := start(func() error { return g.Resume(bg) })
			want(t, pause.wait(), lifecycle.ErrSuperseded)
			noError(t, resume.wait(), "Resume") // which was in the other member for an hour
			close(end)
			noError(t, read.wait(), "an overtaken pause interrupts nobody, also while the Resume has not come to the store yet")
			noError(t, g.Pause(bg), "Pause")
		})
	}
}

func TestGroupPauseAfterOneThatWasOvertakenHasItsOwnTime(t *testing.T) {
	for _, composite := range composites {
		bubble(t, composite.name, func(t *testing.T) {
			s := stores(t, nil, 1, lifecycle.Config[*fakeConn]{Grace: time.Hour})[0]
			g := lifecycle.Sequence(composite.make(s), lifecycle.Func{ResumeFunc: deaf(time.Minute)})
			read := hold(s, "long", nil)
			first := start(func() error { return g.Pause(within(t, 10*time.Second)) })
			time.Sleep(time.Second)
			resume := start(func() error { return g.Resume(bg) })
			time.Sleep(time.Second)
			second := start(func() error { return g.Pause(within(t, 2*time.Minute)) })
			want(t, first.wait(), lifecycle.ErrSuperseded)
			want(t, resume.wait(), lifecycle.ErrSuperseded)
			noError(t, second.wait(), "Pause") // the Resume left its deaf member at 61 s; the store is one of two
			want(t, read.wait(), lifecycle.ErrInterrupted)
			if second.took < 80*time.Second {
				t.Errorf("the reader was interrupted %v after the second Pause began, which came to the store after 59 s, with 30 s for it", second.took)
			}
		})
	}
}

func TestGroupDeadlineNamesTheMembersHolders(t *testing.T) {
	for _, kind := range kinds {
		bubble(t, kind.name, func(t *testing.T) {
			all := stores(t, &fakeDriver{stuck: true}, 3, lifecycle.Config[*fakeConn]{})
			end := make(chan struct{})
			reads := []*result{hold(all[0], "load room list", end), hold(all[2], "search", end)}
			g := lifecycle.Sequence(lifecycle.Func{}, kind.make(lifecycle.GroupConfig{Name: "stores"}, lifecycle.Named("state", all[0]), all[1], all[2]))
			err := g.Pause(within(t, time.Second))
			var held *lifecycle.HeldError
			if !errors.As(err, &held) {
				t.Fatalf("a Pause whose time ends returns a *HeldError; got %v", err)
			}
			want(t, err, context.DeadlineExceeded)
			for _, part := range []string{`store 1 read "load room list"`, `store 3 read "search"`} {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("the error does not name the holder %s, whatever group it is in: %v", part, err)
				}
			}
			if n := len(g.Holders()); n != 2 {
				t.Errorf("the group lists %d holders of the 2 that its members have", n)
			}
			close(end)
			for _, r := range reads {
				_ = r.wait()
			}
			noError(t, g.Pause(within(t, time.Second)), "a later Pause waits for the remainder, and nothing is held any more")
		})
	}
}

func TestGroupWithoutDeadlineIsBoundedByItsMembers(t *testing.T) {
	for _, kind := range kinds {
		bubble(t, kind.name, func(t *testing.T) {
			all := stores(t, &fakeDriver{stuck: true}, 2, lifecycle.Config[*fakeConn]{Timeout: time.Minute})
			end := make(chan struct{})
			read := hold(all[0], "stuck", end)
			g := kind.make(lifecycle.GroupConfig{}, pausables(all)...)
			r := start(func() error { return g.Pause(bg) })
			var held *lifecycle.HeldError
			if err := r.wait(); !errors.As(err, &held) || len(held.Holders) != 1 || r.took != time.Minute {
				t.Errorf("where the context has no deadline, the members' time-outs bound the group; got %v after %v", err, r.took)
			}
			if s := all[1].State(); s != lifecycle.Paused {
				t.Errorf("the store beside the stuck one is %v", s)
			}
			close(end)
			_ = read.wait()
			noError(t, g.Pause(bg), "Pause")
		})
	}
}

// composites are all that drives other Pausables, for what holds for each of them.
var composites = []struct {
	name string
	make func(lifecycle.Pausable) lifecycle.Pausable
}{
	{"Sequence", func(p lifecycle.Pausable) lifecycle.Pausable { return lifecycle.Sequence(p) }},
	{"Parallel", func(p lifecycle.Pausable) lifecycle.Pausable { return lifecycle.Parallel(p) }},
	{"Controller", func(p lifecycle.Pausable) lifecycle.Pausable { return lifecycle.NewController(p) }},
	{"nested", func(p lifecycle.Pausable) lifecycle.Pausable {
		return lifecycle.NewController(lifecycle.Sequence(lifecycle.Named("x", lifecycle.Parallel(lifecycle.NewController(p)))))
	}},
}

func TestGroupAndControllerOfSeveralPausesTheShortestTimeCounts(t *testing.T) {
	for _, composite := range composites {
		bubble(t, composite.name, func(t *testing.T) {
			s := stores(t, nil, 1, lifecycle.Config[*fakeConn]{})[0]
			g := composite.make(s)
			read := hold(s, "long", nil)
			long := start(func() error { return g.Pause(within(t, time.Hour)) })
			time.Sleep(time.Second)
			short := start(func() error { return g.Pause(within(t, time.Second)) })
			noError(t, short.wait(), "the store interrupts at four fifths of the shortest time, also when that caller comes later")
			noError(t, long.wait(), "the longer caller joined the same pause")
			want(t, read.wait(), lifecycle.ErrInterrupted)
			if short.took >= time.Second {
				t.Errorf("the short pause took %v", short.took)
			}
		})
	}
}

func TestGroupAndControllerOfSeveralResumesTheLongestTimeCounts(t *testing.T) {
	for _, composite := range composites {
		bubble(t, composite.name, func(t *testing.T) {
			p, _ := lone(t)
			p.does(nil, func(ctx context.Context) error {
				select {
				case <-time.After(2 * time.Second):
					return nil
				case <-ctx.Done():
					return context.Cause(ctx)
				}
			})
			g := composite.make(p)
			noError(t, g.Pause(bg), "Pause")
			short := start(func() error { return g.Resume(within(t, time.Second)) })
			synctest.Wait()
			long := start(func() error { return g.Resume(within(t, time.Minute)) })
			want(t, short.wait(), context.DeadlineExceeded)
			noError(t, long.wait(), "an attempt belongs to all who wait for it: one caller's deadline must not fail the other's Resume")
		})
	}
}

func TestGroupAndControllerResumeWithAnEndedContextHarmsNobodyElses(t *testing.T) {
	for _, composite := range composites {
		bubble(t, composite.name, func(t *testing.T) {
			p, _ := lone(t)
			p.does(nil, func(ctx context.Context) error { time.Sleep(time.Second); return ctx.Err() })
			g := composite.make(p)
			noError(t, g.Pause(bg), "Pause")
			one := start(func() error { return g.Resume(within(t, time.Minute)) })
			synctest.Wait()
			want(t, g.Resume(endedCtx()), context.Canceled)
			noError(t, one.wait(), "a caller without time fails its own Resume, and nobody else's")
		})
	}
}

func TestGroupResumeThatEveryoneLeftEnds(t *testing.T) {
	for _, kind := range kinds {
		bubble(t, kind.name, func(t *testing.T) {
			p := parts(t, &journal{}, 2)
			for _, m := range p {
				m.onResume = untilEnd
			}
			g := kind.make(lifecycle.GroupConfig{}, pausables(p)...)
			noError(t, g.Pause(bg), "Pause")
			ctx, cancel := context.WithCancel(bg)
			r := start(func() error { return g.Resume(ctx) })
			time.Sleep(time.Second)
			cancel()
			want(t, r.wait(), context.Canceled)
			synctest.Wait()
			if s := g.State(); s != lifecycle.Paused {
				t.Errorf("the last caller of a Resume has left, and the group is %v", s)
			}
		})
	}
}

func TestGroupThatRollsBackUndoesAFailedPause(t *testing.T) {
	for _, kind := range kinds {
		bubble(t, kind.name, func(t *testing.T) {
			j := &journal{}
			p := parts(t, j, 3)
			p[1].onPause = func(context.Context) error { return errBroken }
			g := kind.make(lifecycle.GroupConfig{Rollback: true}, pausables(p)...)
			err := g.Pause(bg)
			want(t, err, errBroken, lifecycle.ErrRolledBack)
			for _, m := range p {
				if m.isPaused() {
					t.Errorf("%s is paused; the error says that the pause was rolled back", m.name)
				}
			}
			if got := j.sorted(); got != "pause a, pause b, pause c, resume a, resume b, resume c" {
				t.Errorf("everyone is told to pause, then everyone to resume; told: %s", got)
			}
			if s := g.State(); s != lifecycle.Active {
				t.Errorf("rolled back, and the state is %v", s)
			}
			noError(t, g.Resume(bg), "what was rolled back is active")
			if got := j.take(); got != "" {
				t.Errorf("resuming what is active does nothing; told: %s", got)
			}
		})
	}
}

func TestGroupThatRollsBackUndoesAFailedResume(t *testing.T) {
	for _, kind := range kinds {
		bubble(t, kind.name, func(t *testing.T) {
			p := parts(t, &journal{}, 3)
			p[1].onResume = func(context.Context) error { return errBroken }
			g := kind.make(lifecycle.GroupConfig{Rollback: true}, pausables(p)...)
			noError(t, g.Pause(bg), "Pause")
			want(t, g.Resume(bg), errBroken, lifecycle.ErrRolledBack)
			for _, m := range p {
				if !m.isPaused() {
					t.Errorf("%s is active; the error says that the resume was rolled back", m.name)
				}
			}
			if s := g.State(); s != lifecycle.Paused {
				t.Errorf("rolled back, and the state is %v", s)
			}
		})
	}
}

func TestGroupRollsBackInATimeOfItsOwn(t *testing.T) {
	for _, kind := range kinds {
		bubble(t, kind.name, func(t *testing.T) {
			p := parts(t, &journal{}, 2)
			p[0].onPause = untilEnd // eats the caller's time
			for _, m := range p {
				m.onResume = func(ctx context.Context) error {
					if deadline, has := ctx.Deadline(); !has || time.Until(deadline) <= 0 || time.Until(deadline) > time.Minute {
						t.Errorf("%s is rolled back with the deadline %v; the roll-back has a minute of its own", m.name, deadline)
					}
					time.Sleep(time.Second)
					return ctx.Err()
				}
			}
			g := kind.make(lifecycle.GroupConfig{Rollback: true, RollbackTimeout: time.Minute}, pausables(p)...)
			want(t, g.Pause(within(t, 10*time.Millisecond)), context.DeadlineExceeded)
			time.Sleep(time.Hour)
			if p[0].isPaused() || p[1].isPaused() || g.State() != lifecycle.Active {
				t.Errorf("after a Pause whose caller's time ended first, the roll-back goes on; the group is %v", g.State())
			}
		})
	}
}

func TestGroupRollsBackAResumeThatEveryoneLeft(t *testing.T) {
	for _, when := range []string{"while it resumes", "while it rolls back"} {
		bubble(t, when, func(t *testing.T) {
			p := parts(t, &journal{}, 3) // resumed c, b, a
			slow := func(ctx context.Context) error {
				select {
				case <-ctx.Done():
					return ctx.Err()
				case <-time.After(10 * time.Second):
					return nil
				}
			}
			if when == "while it resumes" {
				p[0].onResume = untilEnd
			} else {
				p[0].onResume = func(context.Context) error { return errBroken }
			}
			g := lifecycle.GroupConfig{Rollback: true, RollbackTimeout: time.Minute}.Sequence(pausables(p)...)
			noError(t, g.Pause(bg), "Pause")
			for _, m := range p {
				m.onPause = slow
			}
			ctx, cancel := context.WithCancel(bg)
			r := start(func() error { return g.Resume(ctx) })
			time.Sleep(time.Second)
			cancel()
			want(t, r.wait(), context.Canceled)
			time.Sleep(time.Hour)
			for _, m := range p {
				if !m.isPaused() {
					t.Errorf("%s was left active by a Resume that failed and is rolled back", m.name)
				}
			}
			if s := g.State(); s != lifecycle.Paused {
				t.Errorf("rolled back, and the state is %v", s)
			}
		})
	}
}

func TestGroupDoesNotRollBackItsRollback(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := &journal{}
		p := parts(t, j, 2)
		g := lifecycle.GroupConfig{Rollback: true}.Sequence(pausables(p)...)
		noError(t, g.Pause(bg), "Pause")
		j.take()
		p[0].does(broken, untilEnd)
		ctx, cancel := context.WithCancel(bg)
		r := start(func() error { return g.Resume(ctx) })
		synctest.Wait()
		cancel()
		want(t, r.wait(), context.Canceled)
		time.Sleep(time.Hour)
		if got := j.take(); got != "resume b, resume a, pause a, pause b" {
			t.Errorf("a roll-back that fails is not undone; told: %s", got)
		}
	})
}

func TestGroupWhoseRollbackFailsSaysBoth(t *testing.T) {
	for _, kind := range kinds {
		bubble(t, kind.name, func(t *testing.T) {
			other := errors.New("other")
			j := &journal{}
			p := parts(t, j, 2)
			p[0].onPause = func(context.Context) error { return errBroken }
			p[1].onResume = func(context.Context) error { return other }
			g := kind.make(lifecycle.GroupConfig{Rollback: true}, pausables(p)...)
			err := g.Pause(bg)
			want(t, err, errBroken, other)
			if errors.Is(err, lifecycle.ErrRolledBack) {
				t.Errorf("ErrRolledBack says that all members are as they were; one could not be resumed: %v", err)
			}
			j.take()
			p[1].onResume = nil
			noError(t, g.Resume(bg), "Resume")
			if got := j.sorted(); got != "resume a, resume b" {
				t.Errorf("after a failed roll-back nobody knows the members' states, so the next call tells all; told: %s", got)
			}
		})
	}
}

func TestGroupRollbackIsOvertakenByALaterCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := parts(t, &journal{}, 2)
		p[0].onResume = func(context.Context) error { return errBroken }
		g := lifecycle.GroupConfig{Rollback: true}.Sequence(pausables(p)...)
		noError(t, g.Pause(bg), "Pause")
		p[0].onPause = untilEnd
		resume := start(func() error { return g.Resume(bg) })
		time.Sleep(time.Millisecond) // it rolls back, and is in the first member
		p[0].does(nil, nil)
		noError(t, g.Pause(bg), "the latest intent wins, over a roll-back too")
		want(t, resume.wait(), lifecycle.ErrSuperseded)
		if !p[0].isPaused() || !p[1].isPaused() {
			t.Error("Pause returned nil, and not everybody is paused")
		}
	})
}

func TestGroupAroundOneThatRolledBackHasNotRolledBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := &journal{}
		p := parts(t, j, 3)
		p[1].onPause = func(context.Context) error { return errBroken }
		inner := lifecycle.GroupConfig{Name: "inner", Rollback: true}.Sequence(p[1], p[2])
		g := lifecycle.Sequence(p[0], inner)
		err := g.Pause(bg)
		want(t, err, errBroken)
		if errors.Is(err, lifecycle.ErrRolledBack) || g.State() == lifecycle.Active {
			t.Errorf("a member was rolled back, the group was not: a is paused; the state is %v, the error %v", g.State(), err)
		}
		if !strings.Contains(err.Error(), lifecycle.ErrRolledBack.Error()) {
			t.Errorf("the error does not tell what became of the inner group: %v", err)
		}
		var member *lifecycle.MemberError
		if !errors.As(err, &member) || !errors.As(member.Err, &member) || member.Member != "b" {
			t.Errorf("the inner group's error is not found any more: %v", err)
		}
		j.take()
		noError(t, g.Resume(bg), "Resume")
		if p[0].isPaused() {
			t.Error("Resume returned nil and left a paused")
		}
	})
}

func TestGroupPauseFromInsideAMembersOperationIsNested(t *testing.T) {
	for _, kind := range kinds {
		bubble(t, kind.name, func(t *testing.T) {
			j := &journal{}
			first := parts(t, j, 1)[0]
			s := stores(t, nil, 1, lifecycle.Config[*fakeConn]{})[0]
			inner := lifecycle.Parallel(lifecycle.Named("state", s))
			g := kind.make(lifecycle.GroupConfig{Name: "app"}, first, lifecycle.NewController(inner))
			ctl := lifecycle.NewController(g)
			for name, pause := range map[string]func(context.Context) error{"group": g.Pause, "controller": ctl.Pause} {
				err := s.Read(bg, func(c *fakeConn) error {
					marked := s.Inside(bg, c)
					elsewhere := start(func() error { return pause(marked) })
					want(t, elsewhere.wait(), lifecycle.ErrNested)
					return pause(bg) // found on this goroutine's own stack
				})
				want(t, err, lifecycle.ErrNested)
				if got := j.take(); got != "" || s.State() != lifecycle.Active {
					t.Errorf("%s: a nested Pause could only wait for its own caller, so it does nothing; told %q, the store is %v", name, got, s.State())
				}
			}
			noError(t, ctl.Pause(bg), "Pause from outside")
			noError(t, ctl.Resume(bg), "Resume")
			noError(t, ctl.Pause(bg), "Pause")
		})
	}
}

func TestGroupDeliversItsStatesToSubscribers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := parts(t, &journal{}, 1)
		gate := make(chan struct{})
		wait := func(context.Context) error { <-gate; return nil }
		p[0].onPause, p[0].onResume = wait, wait
		g := lifecycle.Sequence(p[0])
		states, stop := g.Subscribe()
		slow, stopSlow := g.Subscribe() // never read until the end
		var seen []lifecycle.State
		read := func() {
			synctest.Wait()
			seen = append(seen, <-states)
		}
		read()
		pause := start(func() error { return g.Pause(bg) })
		read()
		gate <- struct{}{}
		noError(t, pause.wait(), "Pause")
		read()
		resume := start(func() error { return g.Resume(bg) })
		read()
		gate <- struct{}{}
		noError(t, resume.wait(), "Resume")
		read()
		if fmt.Sprint(seen) != "[active pausing paused resuming active]" {
			t.Errorf("a subscriber that keeps up sees every state; saw %v", seen)
		}
		if s := <-slow; s != lifecycle.Active {
			t.Errorf("a slow subscriber gets the latest state, which is active; got %v", s)
		}
		stop()
		stop()
		stopSlow()
		if _, open := <-states; open {
			t.Error("the channel delivers after stop")
		}
	})
}

func TestGroupTellsItsObserverEveryChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var seen []string
		observer := lifecycle.ObserverFunc(func(e lifecycle.Event) {
			mu.Lock()
			defer mu.Unlock()
			seen = append(seen, fmt.Sprintf("%s %v-%v %t", e.Store, e.From, e.To, e.Err != nil))
			panic("a panic in it is ignored")
		})
		p := parts(t, &journal{}, 1)
		g := lifecycle.GroupConfig{Name: "app", Observer: observer}.Parallel(p[0])
		noError(t, g.Pause(bg), "Pause")
		p[0].onResume = func(context.Context) error { return errBroken }
		want(t, g.Resume(bg), errBroken)
		p[0].onResume = nil
		noError(t, g.Resume(bg), "Resume")
		mu.Lock()
		defer mu.Unlock()
		if got := strings.Join(seen, "; "); got != "app active-pausing false; app pausing-paused false; "+
			"app paused-resuming false; app resuming-paused true; app paused-resuming false; app resuming-active false" {
			t.Errorf("the observer is told of every change, in order; told: %s", got)
		}
	})
}

func TestGroupResumeIsNilOnceActiveThoughTheObserverIsSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		observer := lifecycle.ObserverFunc(func(e lifecycle.Event) {
			if e.From == lifecycle.Resuming {
				time.Sleep(time.Minute)
			}
		})
		g := lifecycle.GroupConfig{Observer: observer}.Sequence()
		noError(t, g.Pause(bg), "Pause")
		err := g.Resume(within(t, time.Second))
		if err != nil && g.State() == lifecycle.Active {
			t.Errorf("an error of Resume means: not active by this call. The group is active, and the error %v", err)
		}
		time.Sleep(time.Hour)
	})
}

func TestGroupSurvivesAMemberThatEndsItsGoroutine(t *testing.T) {
	for _, kind := range kinds {
		bubble(t, kind.name, func(t *testing.T) {
			p := parts(t, &journal{}, 2)
			p[0].onPause = func(context.Context) error { runtime.Goexit(); return nil }
			g := kind.make(lifecycle.GroupConfig{Name: "app"}, pausables(p)...)
			err := g.Pause(within(t, time.Second))
			if err == nil || errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "Goexit") || !strings.Contains(err.Error(), "app") {
				t.Errorf("a member that calls runtime.Goexit, as a test's FailNow does, has failed; got %v", err)
			}
			if !p[1].isPaused() {
				t.Error("on Pause everyone is told, whatever failed")
			}
			p[0].onPause = nil
			noError(t, g.Pause(within(t, time.Second)), "the group goes on after it")
		})
	}
}

func TestGroupSurvivesAnObserverThatEndsItsGoroutine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := lifecycle.GroupConfig{Observer: lifecycle.ObserverFunc(func(lifecycle.Event) { runtime.Goexit() })}.Sequence()
		for range 3 {
			noError(t, g.Pause(within(t, time.Second)), "an Observer cannot fail a Pause")
			noError(t, g.Resume(within(t, time.Second)), "an Observer cannot fail a Resume")
		}
	})
}

func TestNamedAndFuncArePausables(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var f lifecycle.Func
		noError(t, f.Pause(bg), "a nil function succeeds")
		noError(t, f.Resume(bg), "a nil function succeeds")
		p := lifecycle.Named("x", parts(t, &journal{}, 1)[0])
		if n, ok := p.(interface{ Name() string }); !ok || n.Name() != "x" {
			t.Error("Named gives a method Name")
		}
		noError(t, lifecycle.Sequence(p).Pause(bg), "Pause")
	})
}
