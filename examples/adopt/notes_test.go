package adopt

import (
	"context"
	"database/sql"
)

// What sqlc writes for schema.sql and query.sql with its default settings, in the same shape:
//
//	CREATE TABLE note (id INTEGER PRIMARY KEY, author TEXT NOT NULL, text TEXT NOT NULL);
//	-- name: CreateNote :one
//	-- name: ListNotes :many
//	-- name: CountNotes :one
//	-- name: RenameAuthor :execrows

const notesSchema = `CREATE TABLE note (id INTEGER PRIMARY KEY, author TEXT NOT NULL, text TEXT NOT NULL)`

type DBTX interface {
	ExecContext(context.Context, string, ...any) (sql.Result, error)
	PrepareContext(context.Context, string) (*sql.Stmt, error)
	QueryContext(context.Context, string, ...any) (*sql.Rows, error)
	QueryRowContext(context.Context, string, ...any) *sql.Row
}

func NewQueries(db DBTX) *Queries { return &Queries{db: db} }

type Queries struct{ db DBTX }

func (q *Queries) WithTx(tx *sql.Tx) *Queries { return &Queries{db: tx} }

type Note struct {
	ID     int64
	Author string
	Text   string
}

const createNote = `-- name: CreateNote :one
INSERT INTO note (author, text) VALUES (?, ?)
RETURNING id, author, text
`

type CreateNoteParams struct {
	Author string
	Text   string
}

func (q *Queries) CreateNote(ctx context.Context, arg CreateNoteParams) (Note, error) {
	row := q.db.QueryRowContext(ctx, createNote, arg.Author, arg.Text)
	var i Note
	err := row.Scan(&i.ID, &i.Author, &i.Text)
	return i, err
}

const listNotes = `-- name: ListNotes :many
SELECT id, author, text FROM note
WHERE author = ?
ORDER BY id DESC
LIMIT 20
`

func (q *Queries) ListNotes(ctx context.Context, author string) ([]Note, error) {
	rows, err := q.db.QueryContext(ctx, listNotes, author)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var items []Note
	for rows.Next() {
		var i Note
		if err := rows.Scan(&i.ID, &i.Author, &i.Text); err != nil {
			return nil, err
		}
		items = append(items, i)
	}
	if err := rows.Close(); err != nil {
		return nil, err
	}
	if err := rows.Err(); err != nil {
		return nil, err
	}
	return items, nil
}

const countNotes = `-- name: CountNotes :one
SELECT count(*) FROM note WHERE author = ?
`

func (q *Queries) CountNotes(ctx context.Context, author string) (int64, error) {
	row := q.db.QueryRowContext(ctx, countNotes, author)
	var count int64
	err := row.Scan(&count)
	return count, err
}

const renameAuthor = `-- name: RenameAuthor :execrows
UPDATE note SET author = ? WHERE author = ?
`

type RenameAuthorParams struct {
	Author   string
	Author_2 string //lint:ignore ST1003 sqlc writes it so
}

func (q *Queries) RenameAuthor(ctx context.Context, arg RenameAuthorParams) (int64, error) {
	result, err := q.db.ExecContext(ctx, renameAuthor, arg.Author, arg.Author_2)
	if err != nil {
		return 0, err
	}
	return result.RowsAffected()
}
