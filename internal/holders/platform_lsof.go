//go:build unix && !linux

package holders

import (
	"context"
	"os"
)

func scanSelf(ctx context.Context, w *wanted) (Report, error) { return lsofSelf(ctx, w) }

// scanAll lists every file of every process and picks here: given names, lsof would
// look for their present inodes only and miss what was deleted or replaced.
func scanAll(ctx context.Context, w *wanted) (Report, error) {
	r, err := lsof(ctx, w)
	if err == nil && os.Geteuid() != 0 {
		r.Unreadable = append(r.Unreadable, Process{Reason: "lsof shows other users' files to root only"})
	}
	return r, err
}

func commandOf(int) string { return "" }
