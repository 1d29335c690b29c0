// Package notes is a small store on storekit: notes with tags, found by whole
// words, encrypted in SQLite or in memory. docs/write-a-store.md explains it.
package notes

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/quiesce-go/quiesce/lifecycle"
)

// Note is a text under an id. The id is not empty, and all of it is UTF-8.
type Note struct {
	ID, Text string
	Tags     []string
}

// Store is what both stores are. Each call is one transaction. Lists are in no order.
type Store interface {
	Add(ctx context.Context, n Note) error                      // takes the place of the note with the same id
	Get(ctx context.Context, id string) (Note, error)           // or ErrNotFound
	Tagged(ctx context.Context, tags ...string) ([]Note, error) // notes with all these tags, none for no tag
	Find(ctx context.Context, text string) ([]Note, error)      // notes with every word of text, none for no word
	Remove(ctx context.Context, id string) error                // nil also where there is none
	lifecycle.Pausable
	Close(ctx context.Context) error
}

var ErrNote = errors.New("this can be no note")       // is returned by Add for what breaks the rules of Note
var ErrNotFound = errors.New("there is no such note") // is returned by Get when no note has the id

// Notes is what both stores do alike, on top of what each does in its own way.
type Notes struct{ table }

type table interface {
	add(ctx context.Context, n Note) error
	Remove(ctx context.Context, id string) error
	with(ctx context.Context, tokens []string) ([]Note, error) // the notes that have all of them
}

func (s Notes) Add(ctx context.Context, n Note) error {
	if n.ID == "" || !utf8.ValidString(n.ID+" "+n.Text+" "+strings.Join(n.Tags, " ")) {
		return ErrNote
	}
	return s.add(ctx, n)
}

func (s Notes) Get(ctx context.Context, id string) (Note, error) {
	found, err := s.with(ctx, []string{"@" + id})
	if err != nil || len(found) == 0 {
		return Note{}, cmp.Or(err, ErrNotFound)
	}
	return found[0], nil
}

func (s Notes) Tagged(ctx context.Context, tags ...string) ([]Note, error) {
	return s.with(ctx, tokens("", tags))
}

func (s Notes) Find(ctx context.Context, text string) ([]Note, error) {
	return s.with(ctx, tokens(text, nil))
}

// tokens are what a note is found by, besides @id: #tag, and the words of its text, which are letters and digits in lower case.
func tokens(text string, tags []string) []string {
	all := strings.FieldsFunc(strings.ToLower(text), func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) })
	for _, tag := range tags {
		all = append(all, "#"+tag)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

func (n Note) tokens() []string { return append(tokens(n.Text, n.Tags), "@"+n.ID) }
