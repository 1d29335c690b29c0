package lifecycle

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"time"
)

// Connections is a store's connections: a read pool and one writer, as one
// Pausable. All methods may be called from any number of goroutines.
//
// Of a paused store nothing but this is kept, so what only an active one needs stands elsewhere.
type Connections[C comparable] struct {
	engine
	cfg    Config[C]
	driver Driver[C]

	cur    atomic.Pointer[generation[C]] // the hot path's only look; nil unless active
	marked atomic.Bool                   // Inside was used
	id     identity

	// The engine's goroutine's.
	unfinished bool // a checkpoint was cut short because its pause was overtaken
	lived      bool // it has been active since everything was released

	gate gate[C]
	wake waker

	// Guarded by engine.mu.
	number   uint64           // the last generation's
	pending  *generation[C]   // being opened by a Resume
	old      []*generation[C] // shut, and not gone yet
	report   *keptReport      // of the last transition
	building *Report          // of the one under way
	closeErr error            // closing a connection failed for which no pause could tell
	counts   counts
}

type counts struct {
	pauses, resumes     uint64
	interrupts, severed uint64
}

// Open makes a store's connections. Unless cfg.StartPaused is set, it opens
// the first reader, so that a store that cannot be opened fails here; ctx
// bounds that. Nothing is left open when it fails.
func Open[C comparable](ctx context.Context, driver Driver[C], cfg Config[C]) (*Connections[C], error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	s := &Connections[C]{cfg: cfg, driver: driver}
	s.name, s.state, s.told = cfg.Name, Paused, Paused
	s.gate.refuse = true
	if cfg.StartPaused {
		return s, nil
	}
	if ctx.Err() != nil {
		return nil, &StateError{cfg.Name, "open", endOf(ctx)}
	}
	if err := s.call(ctx, (*conns[C])(s), toActive, cfg.Timeout, s.heldError); err != nil {
		// What was begun is taken back by the engine; Close waits for it, within the same time.
		return nil, errors.Join(err, ignoreHeld(s.Close(ctx)))
	}
	return s, nil
}

// ignoreHeld drops the error of a clean-up that goes on by itself.
func ignoreHeld(err error) error {
	if held := (*HeldError)(nil); errors.As(err, &held) {
		return nil
	}
	return err
}

// Pause gives back every connection, as the package's documentation promises.
// It returns nil when nothing is held any more, *HeldError when the time ended
// first (the pause goes on by itself), ErrSuperseded when a Resume overtook it,
// and ErrNested when it was called from inside an operation of this store.
func (s *Connections[C]) Pause(ctx context.Context) error { return s.stop(ctx, toPaused) }

// Close is a Pause for good: it overtakes a Resume, joins a Pause, and cannot
// be overtaken. Afterwards Read, Write and Resume return ErrClosed, and so do
// those who wait for a Resume. Closing what is closed returns nil.
func (s *Connections[C]) Close(ctx context.Context) error { return s.stop(ctx, toClosed) }

func (s *Connections[C]) stop(ctx context.Context, g goal) error {
	if s.inOperation(ctx) {
		return &StateError{s.cfg.Name, g.op(), ErrNested}
	}
	return s.call(ctx, (*conns[C])(s), g, s.cfg.Timeout, s.heldError)
}

// Resume opens the store again. It returns nil when work is accepted, which
// it is not when Resume returns an error: ErrMissing, ErrReplaced,
// ErrSchemaNewer, ErrInaccessible or what the driver says leave the store
// paused, and Resume may be tried again; ErrSuperseded says that a Pause or a
// Close overtook it; *HeldError that too many readers of earlier generations are still held.
func (s *Connections[C]) Resume(ctx context.Context) error {
	if s.State() != Active && ctx.Err() != nil {
		return &StateError{s.cfg.Name, "resume", endOf(ctx)}
	}
	return s.call(ctx, (*conns[C])(s), toActive, s.cfg.Timeout, s.heldError)
}

// Name returns the store's name.
func (s *Connections[C]) Name() string { return s.cfg.Name }

// Report returns what the last Pause, Resume or Close that ran to its end did;
// nil before the first. It must not be changed.
func (s *Connections[C]) Report() *Report {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.report.unpack(s.cfg.Name)
}

// Generation counts the store's lives: it grows with every Resume, so that
// what was cached under an earlier one can be told.
func (s *Connections[C]) Generation() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.number
}

// PauseBegan returns a channel that is closed when the present life of the
// store ends, that is, as soon as a Pause or Close begins. It is closed already while the store is not active.
func (s *Connections[C]) PauseBegan() <-chan struct{} {
	if g := s.cur.Load(); g != nil {
		return g.ctx.Done()
	}
	return closedChan
}

var closedChan = func() chan struct{} { c := make(chan struct{}); close(c); return c }()

// Holders lists the operations that run at this moment, of all generations.
func (s *Connections[C]) Holders() []Holder {
	var holders []Holder
	for _, sl := range s.slots() {
		if h, _, ok := sl.holder(); ok {
			holders = append(holders, h)
		}
	}
	return holders
}

// slots returns every open connection.
func (s *Connections[C]) slots() []*slot[C] {
	s.mu.Lock()
	gens := slices.Clone(s.old)
	if s.pending != nil {
		gens = append(gens, s.pending)
	}
	s.mu.Unlock()
	if g := s.cur.Load(); g != nil && !slices.Contains(gens, g) {
		gens = append(gens, g)
	}
	var slots []*slot[C]
	for _, g := range gens {
		slots = append(slots, g.list()...)
	}
	if w, _ := s.gate.writer(); w != nil {
		slots = append(slots, w)
	}
	return slots
}

func (s *Connections[C]) anyWork() bool {
	return slices.ContainsFunc(s.slots(), (*slot[C]).working)
}

// drop forgets a generation that is gone.
func (s *Connections[C]) drop(g *generation[C]) {
	s.mu.Lock()
	defer s.mu.Unlock()
	g.mu.Lock()
	s.closeErr = errors.Join(s.closeErr, s.closeError(Reader, g.closeErr))
	g.closeErr = nil
	g.mu.Unlock()
	if i := slices.Index(s.old, g); i >= 0 {
		s.old = slices.Delete(s.old, i, i+1)
		if len(s.old) == 0 {
			s.old = nil
		}
	}
}

// heldError is what a caller gets whose time ended.
func (s *Connections[C]) heldError(r *run, cause error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.goal == toActive {
		return &StateError{s.cfg.Name, "resume", cause}
	}
	err := &HeldError{Store: s.cfg.Name, Step: r.step, Cause: cause}
	if err.Step == "" && s.driven != nil { // not its turn yet
		err.Step = s.driven.step
	}
	if err.Step == "" {
		err.Step = StepDrain
	}
	if err.Step == StepVerify && r.seen != nil {
		err.Cause = errors.Join(cause, r.seen)
	}
	for _, g := range s.old {
		for _, sl := range g.list() {
			if h, _, ok := sl.holder(); ok {
				err.Holders = append(err.Holders, h)
			}
		}
	}
	if w, _ := s.gate.writer(); w != nil {
		if h, _, ok := w.holder(); ok {
			err.Holders = append(err.Holders, h)
		}
	}
	for _, h := range r.severed {
		if !slices.ContainsFunc(err.Holders, func(o Holder) bool { return o.Since.Equal(h.Since) && o.Role == h.Role && o.Label == h.Label }) {
			h.Held = time.Since(h.Since)
			err.Holders = append(err.Holders, h)
		}
	}
	return err
}

// Stats is a picture of a store at one moment.
type Stats struct {
	State      State  `json:"state"`
	Generation uint64 `json:"generation"`

	MaxReaders     int  `json:"max_readers"`
	Readers        int  `json:"readers"`        // open, of this generation; Foreign connections included
	ReadersInUse   int  `json:"readers_in_use"` // of these, serving an operation
	OldReaders     int  `json:"old_readers"`    // open, of earlier generations
	WriterOpen     bool `json:"writer_open"`
	WriterInUse    bool `json:"writer_in_use"`
	WritersWaiting int  `json:"writers_waiting"`

	Pauses     uint64 `json:"pauses"`     // that ended with everything released
	Resumes    uint64 `json:"resumes"`    // that ended active, the first opening included
	Interrupts uint64 `json:"interrupts"` // operations interrupted by a pause
	Severed    uint64 `json:"severed"`    // connections closed under their operations
}

// Stats counts what there is. It costs a few microseconds.
func (s *Connections[C]) Stats() Stats {
	st := Stats{MaxReaders: s.cfg.MaxReaders}
	present := s.Generation()
	for _, sl := range s.slots() {
		working := sl.working()
		switch {
		case sl.role == Writer:
			st.WriterOpen, st.WriterInUse = true, working
		case sl.gen.number != present:
			st.OldReaders++
		default:
			st.Readers++
			if working {
				st.ReadersInUse++
			}
		}
	}
	s.gate.mu.Lock()
	st.WritersWaiting = len(s.gate.queue)
	s.gate.mu.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	st.State, st.Generation = s.state, s.number
	st.Pauses, st.Resumes = s.counts.pauses, s.counts.resumes
	st.Interrupts, st.Severed = s.counts.interrupts, s.counts.severed
	return st
}
