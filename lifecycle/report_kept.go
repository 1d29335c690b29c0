package lifecycle

import (
	"encoding/binary"
	"time"
	"weak"
)

// keptReport is what a store keeps of the last transition's Report. Of a pause
// without an incident that is less than half of it: ten thousand stores may be
// paused at once, and nobody looks at most of their reports.
type keptReport struct {
	full *Report // nil where the rest is valid

	seen  weak.Pointer[Report] // what the observer got, or Report returned last: whoever still has it gets the same again
	start time.Time
	rest  [56]byte // see pack
}

// packReport is for the report of a pause or a close.
func packReport(r *Report) *keptReport {
	if r.Leftovers != nil || r.Warnings != nil || r.Err != nil || r.closing != nil {
		return &keptReport{full: r}
	}
	k := &keptReport{start: r.Start}
	packed := r.pack()
	if copy(k.rest[:], packed) < len(packed) {
		return &keptReport{full: r}
	}
	k.seen = weak.Make(r)
	return k
}

// unpack returns the report, nil if there is none. It is called under the engine's mutex.
func (k *keptReport) unpack(store string) *Report {
	if k == nil {
		return nil
	}
	if k.full != nil {
		return k.full
	}
	r := k.seen.Value()
	if r == nil {
		r = &Report{Store: store, Start: k.start}
		r.fill(k.rest[:])
		k.seen = weak.Make(r)
	}
	return r
}

// pack writes what differs from report to report: flags, numbers, the checkpoint's mode.
func (r *Report) pack() []byte {
	var flags byte
	for i, set := range []bool{r.Op == toClosed.op(), r.WriterClosed, r.CheckpointResult.Ran, r.CheckpointResult.Busy} {
		if set {
			flags |= 1 << i
		}
	}
	b := append(make([]byte, 0, 64), flags, byte(r.Changed))
	b = binary.AppendUvarint(b, r.Generation)
	durations, counts := r.numbers()
	for _, d := range durations {
		b = binary.AppendVarint(b, int64(*d))
	}
	for _, n := range counts {
		b = binary.AppendVarint(b, int64(*n))
	}
	b = binary.AppendUvarint(b, uint64(len(r.CheckpointResult.Mode)))
	return append(b, r.CheckpointResult.Mode...)
}

// fill reads what pack wrote.
func (r *Report) fill(b []byte) {
	set := func(i int) bool { return b[0]&(1<<i) != 0 }
	r.Op = toPaused.op()
	if set(0) {
		r.Op = toClosed.op()
	}
	r.WriterClosed, r.CheckpointResult.Ran, r.CheckpointResult.Busy = set(1), set(2), set(3)
	r.Changed = Change(b[1])
	generation, n := binary.Uvarint(b[2:])
	r.Generation, b = generation, b[2+n:]
	next := func() int64 {
		v, n := binary.Varint(b)
		b = b[n:]
		return v
	}
	durations, counts := r.numbers()
	for _, d := range durations {
		*d = time.Duration(next())
	}
	for _, n := range counts {
		*n = int(next())
	}
	length, n := binary.Uvarint(b)
	r.CheckpointResult.Mode = string(b[n:][:length])
}

// numbers returns where a report's numbers stand.
func (r *Report) numbers() (durations []*time.Duration, counts []*int) {
	return []*time.Duration{
			&r.Total, &r.Drain, &r.Hook, &r.Readers, &r.Checkpoint, &r.Writer, &r.Verify, &r.Validate, &r.Open, &r.Reopen,
		}, []*int{
			&r.ReadersClosed, &r.CheckpointResult.Log, &r.CheckpointResult.Checkpointed, &r.Interrupts, &r.Severed,
		}
}
