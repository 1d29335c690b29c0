package storekit

import (
	"strings"

	"github.com/quiesce-go/quiesce/storekit/secret"
)

// SealedColumn is a column whose values the store's Codec has sealed, for the
// secret.Place that consists of the table's name, the column's, and the row id
// that column Row of the same row holds. Row has to be UNIQUE, so that a walk
// over the table finds its way.
type SealedColumn struct{ Table, Column, Row string }

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
