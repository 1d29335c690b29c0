package storekit

import (
	"errors"
	"fmt"
	"strings"

	"github.com/quiesce-go/quiesce/driver/sqlite"
	"github.com/quiesce-go/quiesce/storekit/secret"
)

// SealedColumn is a column whose values the store's Codec has sealed, for the
// secret.Place that consists of the table's name, the column's, and the row id
// that column Row of the same row holds. Row has to be UNIQUE, so that a walk
// over the table finds its way, and a BLOB or, for a row id whose bytes are those
// of a text, TEXT; never NULL. The column itself holds BLOBs, or NULL, and no
// streams. What is otherwise is ErrSealedColumn for Rotate, and a problem that Check finds.
type SealedColumn struct{ Table, Column, Row string }

// ErrSealedColumn is returned by Rotate when a row of a sealed column is none
// that it can seal anew: its id is neither a BLOB nor TEXT, its value is no BLOB, or a stream.
var ErrSealedColumn = errors.New("the sealed column holds what cannot be sealed anew")

// sealedValue is a value, and the row that it is in.
type sealedValue struct {
	id         any // as SQLite compares it
	row, value []byte
}

// read reads the row's id and the column, which were selected in this order.
func (c SealedColumn) read(r *sqlite.Row) (v sealedValue, err error) {
	switch id := r.Value(0).(type) {
	case []byte:
		v.row, v.id = id, id
	case string:
		v.row, v.id = []byte(id), id
	default:
		return v, fmt.Errorf("%w: %s: a row's id is %T, neither a BLOB nor TEXT", ErrSealedColumn, c, id)
	}
	var is bool
	if v.value, is = r.Value(1).([]byte); !is {
		return v, fmt.Errorf("%w: %s: row %x: the value is %T, no BLOB", ErrSealedColumn, c, v.row, r.Value(1))
	}
	return v, nil
}

// String names the column.
func (c SealedColumn) String() string { return c.Table + "." + c.Column }

func (c SealedColumn) place(row []byte) secret.Place {
	return secret.Place{Table: c.Table, Column: c.Column, Row: row}
}

func (c SealedColumn) table() string  { return quoted(c.Table) }
func (c SealedColumn) column() string { return quoted(c.Column) }
func (c SealedColumn) row() string    { return quoted(c.Row) }

// quoted is a name as SQL's identifier.
func quoted(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }
