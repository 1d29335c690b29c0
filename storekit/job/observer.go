package job

import (
	"context"
	"log/slog"
	"time"
)

// Event tells of a run that has ended.
type Event struct {
	Runner string
	Job    string
	Start  time.Time
	Took   time.Duration
	Err    error // what it returned; a *lifecycle.PanicError where it panicked
	Failed bool  // Err is a failure: not ErrDone, and not what a run returned that was told to stop
}

// SlogObserver makes an Observer that writes one record per run to logger: at
// level error for a failure, at debug for everything else.
func SlogObserver(logger *slog.Logger) func(Event) {
	return func(e Event) {
		level, message := slog.LevelDebug, "job ended"
		attrs := []slog.Attr{slog.String("runner", e.Runner), slog.String("job", e.Job), slog.Duration("took", e.Took)}
		if e.Failed {
			level, message = slog.LevelError, "job failed"
		}
		if e.Err != nil {
			attrs = append(attrs, slog.String("error", e.Err.Error()))
		}
		logger.LogAttrs(context.Background(), level, message, attrs...)
	}
}
