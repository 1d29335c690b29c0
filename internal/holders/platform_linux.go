package holders

import "context"

func scanSelf(ctx context.Context, w *wanted) (Report, error) {
	return procfs{root: "/proc"}.self(ctx, w)
}

func scanAll(ctx context.Context, w *wanted) (Report, error) {
	return procfs{root: "/proc"}.all(ctx, w)
}

func commandOf(pid int) string { return procfs{root: "/proc"}.command(pid) }
