//go:build cgo

package adopt

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"

	"github.com/mattn/go-sqlite3"

	"github.com/quiesce-go/quiesce/lifecycle"
)

const withCgo = true

// rawConnection needs the real mattn/go-sqlite3.
func rawConnection(ctx context.Context, db *sql.DB) error {
	conn, err := db.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	var image []byte
	err = conn.Raw(func(c any) error {
		for {
			outer, ok := c.(interface{ Unwrap() driver.Conn })
			if !ok {
				break
			}
			c = outer.Unwrap()
		}
		sc, ok := c.(*sqlite3.SQLiteConn)
		if !ok {
			return lifecycle.ErrPaused // Unwrap waits for nothing
		}
		image, err = sc.Serialize("main")
		return err
	})
	if err == nil && len(image) == 0 {
		err = errors.New("an empty image")
	}
	return err
}
