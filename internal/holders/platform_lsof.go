//go:build unix && !linux

package holders

import "context"

func scanSelf(ctx context.Context, w *wanted) (Report, error) { return lsofSelf(ctx, w) }

func scanAll(ctx context.Context, w *wanted) (Report, error) { return lsofAll(ctx, w) }

func commandOf(int) string { return "" }
