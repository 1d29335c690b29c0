//go:build !cgo

package adopt

import (
	"context"
	"database/sql"
	"errors"
)

const withCgo = false

func rawConnection(context.Context, *sql.DB) error { return errors.ErrUnsupported }
