package lifecycle

import (
	"context"
	"errors"
	"log/slog"
	"time"
)

// Event tells an Observer of a change of state.
type Event struct {
	Store      string
	Time       time.Time
	From, To   State
	Generation uint64
	Report     *Report // at the end of a Pause, Resume or Close; not to be changed
	Err        error   // what that ended with; ErrSuperseded for a Pause that had released everything when it was overtaken
}

// Observer is told of changes of state, in order and one event at a time, each
// beginning where the one before ended. A state that was left before its turn
// came, because calls overlapped, is skipped.
//
// It is called with no lock held. The transition waits for it: a slow Observer
// delays that and nothing else, and one that waits for a Pause, Resume or Close
// of what it observes waits for itself. A panic in it is ignored.
type Observer interface {
	Observe(Event)
}

// ObserverFunc makes an Observer of a function.
type ObserverFunc func(Event)

// Observe calls f.
func (f ObserverFunc) Observe(e Event) { f(e) }

// SlogObserver writes one record per event to logger: at level info, at warn
// where something was left or warned of, at error where a transition failed.
func SlogObserver(logger *slog.Logger) Observer {
	return ObserverFunc(func(e Event) {
		level := slog.LevelInfo
		attrs := []slog.Attr{
			slog.String("store", e.Store),
			slog.String("from", e.From.String()),
			slog.String("to", e.To.String()),
			slog.Uint64("generation", e.Generation),
		}
		if r := e.Report; r != nil {
			attrs = append(attrs, slog.Any("report", r))
			if len(r.Warnings) > 0 {
				level = slog.LevelWarn
			}
		}
		if e.Err != nil {
			if !errors.Is(e.Err, ErrSuperseded) {
				level = slog.LevelError
			}
			attrs = append(attrs, slog.String("error", e.Err.Error()))
		}
		logger.LogAttrs(context.Background(), level, "store "+e.To.String(), attrs...)
	})
}

// LogValue groups what is worth a log line: the steps that took time, and what was unusual.
func (r *Report) LogValue() slog.Value {
	attrs := []slog.Attr{slog.String("op", r.Op), slog.Duration("total", r.Total)}
	for _, step := range []struct {
		name string
		took time.Duration
	}{
		{"drain", r.Drain}, {"hook", r.Hook}, {"readers", r.Readers}, {"checkpoint", r.Checkpoint}, {"writer", r.Writer},
		{"verify", r.Verify}, {"validate", r.Validate}, {"open", r.Open}, {"reopen", r.Reopen},
	} {
		if step.took > 0 {
			attrs = append(attrs, slog.Duration(step.name, step.took))
		}
	}
	if r.Interrupts > 0 {
		attrs = append(attrs, slog.Int("interrupts", r.Interrupts))
	}
	if r.Severed > 0 {
		attrs = append(attrs, slog.Int("severed", r.Severed))
	}
	if r.Op == "resume" {
		attrs = append(attrs, slog.String("changed", r.Changed.String()))
	}
	if len(r.Leftovers) > 0 {
		attrs = append(attrs, slog.Any("leftovers", r.Leftovers))
	}
	if len(r.Warnings) > 0 {
		attrs = append(attrs, slog.Any("warnings", r.Warnings))
	}
	return slog.GroupValue(attrs...)
}

// tell is called on the engine's goroutine, which reckons with Goexit.
func tell(o Observer, e Event) {
	if o == nil {
		return
	}
	_ = guard(func() error { o.Observe(e); return nil })
}
