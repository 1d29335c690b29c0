package sqlite

import (
	"context"
	"errors"
	"fmt"

	"github.com/quiesce-go/quiesce/lifecycle"
)

// errUnfinished is the warning when a checkpoint ran out of its bound.
var errUnfinished = errors.New("the checkpoint did not end within its bound; -wal and -shm stay until the next one")

// Checkpoint writes the log back by policy, with every other connection of
// this process closed. It does not wait for other processes: it reports busy.
//
// Closing the last connection writes everything back, whatever was asked. So
// the policy None, and a bound that ran out, tell SQLite not to.
func (d *storeDriver) Checkpoint(ctx context.Context, c *Conn) (lifecycle.CheckpointResult, error) {
	set := d.settings()
	res := lifecycle.CheckpointResult{Mode: set.checkpoint.String(), Log: -1, Checkpointed: -1}
	empty := d.logsAreEmpty()
	d.setWritten(empty)
	switch {
	case set.checkpoint == CheckpointNone:
		return res, d.asOperation(c, c.noCheckpointOnClose)
	case empty: // there is nothing to write, nothing to wait for, and nobody to be busy with it
		res.Ran, res.Log, res.Checkpointed = true, 0, 0
		return res, nil
	}
	ctx, cancel := context.WithTimeout(ctx, set.checkpointBound)
	defer cancel()
	err := d.asOperation(c, func() error {
		err := d.runCheckpoint(ctx, c, &res)
		if err == nil || ctx.Err() == nil {
			return err
		}
		return errors.Join(errUnfinished, c.noCheckpointOnClose(), err)
	})
	d.setWritten(err == nil && !res.Busy && res.Log >= 0 && res.Log == res.Checkpointed)
	return res, err
}

// logsAreEmpty tells whether every file has a log and there is nothing in it: as
// after a checkpoint that truncated it, where nobody has written since. The
// content is in the files alone then.
func (d *storeDriver) logsAreEmpty() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, f := range d.files() {
		if wal, err := statFile(f.side("-wal")); err != nil || !wal.exists || wal.size > 0 {
			return false
		}
	}
	return true
}

func (d *storeDriver) setWritten(written bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.written = written
}

func (d *storeDriver) runCheckpoint(ctx context.Context, c *Conn, res *lifecycle.CheckpointResult) error {
	for _, f := range d.files() {
		var busy bool
		var log, written int
		err := c.QueryRow(ctx, fmt.Sprintf(`PRAGMA %s.wal_checkpoint(%s)`, f.schema(), d.settings().checkpoint)).Scan(&busy, &log, &written)
		if err != nil {
			return err
		}
		res.Ran = true
		res.Busy = res.Busy || busy
		res.Log, res.Checkpointed = sumFrames(res.Log, log), sumFrames(res.Checkpointed, written)
	}
	return nil
}

// sumFrames adds counts of which -1 means: not known.
func sumFrames(sum, n int) int {
	if sum < 0 || n < 0 {
		return max(sum, n)
	}
	return sum + n
}
