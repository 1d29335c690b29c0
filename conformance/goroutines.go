package conformance

import (
	"bytes"
	"context"
	"fmt"
	"runtime/pprof"
	"strings"
	"sync/atomic"
)

// Goroutines are told apart by a profiler label, which every goroutine
// inherits from the one that started it. So tests that run beside this one, and
// libraries at work elsewhere, cannot be taken for leaks of the store.

const leakLabel = "conformance-leak"

var leakNumber atomic.Int64

// labelled runs fn under a label of its own.
func labelled(p *probe, fn func()) {
	ctx := p.ctx
	defer func() { p.ctx = ctx }()
	pprof.Do(ctx, pprof.Labels(leakLabel, fmt.Sprint(leakNumber.Add(1))), func(labelled context.Context) {
		p.ctx = labelled
		fn()
	})
}

// poolGoroutine is the goroutine that every *sql.DB has until its Close: it waits on a channel, and has no connection.
const poolGoroutine = "database/sql.(*DB).connectionOpener"

// leftGoroutines lists the stacks of the goroutines with p's label, apart from the case's own.
func leftGoroutines(p *probe) string {
	value, _ := pprof.Label(p.ctx, leakLabel)
	var b bytes.Buffer
	if err := pprof.Lookup("goroutine").WriteTo(&b, 1); err != nil {
		return ""
	}
	needle := fmt.Sprintf("%q:%q", leakLabel, value)
	var left []string
	for _, block := range strings.Split(b.String(), "\n\n") {
		if strings.Contains(block, needle) && !strings.Contains(block, "conformance.leftGoroutines") && !strings.Contains(block, poolGoroutine) {
			left = append(left, block)
		}
	}
	return strings.Join(left, "\n\n")
}
