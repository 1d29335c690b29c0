package mediatest

// Every method that a pause, a close or the end of a context can be in the way
// of, those of Readers and Writers too, with arguments for which it has something to do, and
// with some for which it has nothing to do: a store that is paused says so to whoever asks for nothing, too.

import (
	"context"
	"errors"
	"io"

	"github.com/quiesce-go/quiesce/matrixstores/media"
)

// call is one method; what it says of its arguments comes behind " of ". prepare opens what it needs, a Reader or a Writer, under
// ctx, which is that of the call itself; do is the call, which may be made once or more often.
type call struct {
	method  string
	prepare func(ctx context.Context, s media.Store) (do func() error, err error)
}

// lifeMethods are the methods of a store that calls leaves out. Policy works in any state.
var lifeMethods = []string{"Pause", "Resume", "Close", "State", "Policy"}

// streamMethods are those of Readers and Writers that calls leaves out: they ask nothing of the store.
var streamMethods = []string{"Close", "Seek", "Size"}

// calls returns all of them. They may be made in whatever order and however often, on a
// store that prepared has filled: there those that have something to do still have it.
func calls() []call {
	there, none := file("there"), file("none")
	direct := func(method string, do func(ctx context.Context, s media.Store) error) call {
		return call{method, func(ctx context.Context, s media.Store) (func() error, error) {
			return func() error { return do(ctx, s) }, nil
		}}
	}
	return []call{
		direct("Add", func(ctx context.Context, s media.Store) error {
			return second(s.Add(ctx, file("called"), []byte("called"), media.AddOptions{}))
		}),
		direct("Add of nothing", func(ctx context.Context, s media.Store) error {
			return second(s.Add(ctx, file("called"), nil, media.AddOptions{}))
		}),
		direct("Get of none", func(ctx context.Context, s media.Store) error { return third(s.Get(ctx, none)) }),
		direct("Remove of none", func(ctx context.Context, s media.Store) error { return s.Remove(ctx, none) }),
		direct("RemoveForURI of none", func(ctx context.Context, s media.Store) error { return s.RemoveForURI(ctx, none.URI) }),
		direct("Rename of none", func(ctx context.Context, s media.Store) error {
			return second(s.Rename(ctx, none, none, media.RenameOptions{}))
		}),
		direct("SetIgnorePolicy of none", func(ctx context.Context, s media.Store) error { return s.SetIgnorePolicy(ctx, none, true) }),
		direct("Open of none", func(ctx context.Context, s media.Store) error { return second(s.Open(ctx, none)) }),
		direct("TakeLease of no time", func(ctx context.Context, s media.Store) error {
			return third(s.TakeLease(ctx, "released", "holder", 0))
		}),
		direct("Get", func(ctx context.Context, s media.Store) error { return third(s.Get(ctx, there)) }),
		direct("GetForURI", func(ctx context.Context, s media.Store) error {
			_, _, _, err := s.GetForURI(ctx, there.URI)
			return err
		}),
		direct("Remove", func(ctx context.Context, s media.Store) error { return s.Remove(ctx, file("removed")) }),
		direct("RemoveForURI", func(ctx context.Context, s media.Store) error { return s.RemoveForURI(ctx, mxc("all removed")) }),
		direct("Rename", func(ctx context.Context, s media.Store) error {
			return second(s.Rename(ctx, file("called"), file("renamed"), media.RenameOptions{}))
		}),
		direct("SetIgnorePolicy", func(ctx context.Context, s media.Store) error { return s.SetIgnorePolicy(ctx, file("renamed"), true) }),
		direct("Info", func(ctx context.Context, s media.Store) error { return third(s.Info(ctx, there)) }),
		direct("Create", func(ctx context.Context, s media.Store) error {
			w, err := s.Create(ctx, file("created"), media.AddOptions{})
			if err == nil {
				err = w.Close()
			}
			return err
		}),
		direct("Open", func(ctx context.Context, s media.Store) error {
			in, err := s.Open(ctx, there)
			if err == nil {
				err = in.Close()
			}
			return err
		}),
		direct("SetPolicy", func(ctx context.Context, s media.Store) error { return s.SetPolicy(ctx, calledPolicy) }),
		direct("Clean", func(ctx context.Context, s media.Store) error { return second(s.Clean(ctx)) }),
		direct("LastCleaned", func(ctx context.Context, s media.Store) error { return third(s.LastCleaned(ctx)) }),
		direct("Stats", func(ctx context.Context, s media.Store) error { return second(s.Stats(ctx)) }),
		direct("TakeLease", func(ctx context.Context, s media.Store) error {
			return third(s.TakeLease(ctx, "called", "holder", hour))
		}),
		direct("Bytes", func(ctx context.Context, s media.Store) error { return second(s.Bytes(ctx)) }),
		direct("Compact", func(ctx context.Context, s media.Store) error { return s.Compact(ctx) }),
		{"Reader.Read", func(ctx context.Context, s media.Store) (func() error, error) {
			in, err := s.Open(ctx, there)
			return func() error {
				_, err := in.Read(make([]byte, 10))
				return err
			}, err
		}},
		{"Reader.Read of what is behind the end", func(ctx context.Context, s media.Store) (func() error, error) {
			in, err := s.Open(ctx, there)
			if err == nil {
				_, err = in.Seek(0, io.SeekEnd)
			}
			return func() error {
				if _, err := in.Read(make([]byte, 10)); !errors.Is(err, io.EOF) {
					return err
				}
				return nil
			}, err
		}},
		{"Reader.Read of what is in the midst", func(ctx context.Context, s media.Store) (func() error, error) {
			in, err := s.Open(ctx, there)
			if err == nil {
				_, err = io.ReadFull(in, make([]byte, 70*kib))
			}
			return func() error {
				_, err := in.Read(make([]byte, 10))
				return err
			}, err
		}},
		{"Writer.Write", writing(func(w media.Writer) error { return second(w.Write([]byte("written"))) })},
		{"Writer.Write of nothing", writing(func(w media.Writer) error { return second(w.Write(nil)) })},
		{"Writer.Write of much", writing(func(w media.Writer) error { return second(w.Write(bytesOf(1, 200*kib))) })},
		{"Writer.Commit", writing(func(w media.Writer) error {
			if err := second(w.Commit()); !errors.Is(err, media.ErrWriterClosed) { // when it is called again
				return err
			}
			return nil
		})},
	}
}

// calledPolicy is what calls sets: it removes nothing of theirs.
var calledPolicy = media.NoLimits().WithMaxFileSize(mib)

func writing(do func(media.Writer) error) func(context.Context, media.Store) (func() error, error) {
	return func(ctx context.Context, s media.Store) (func() error, error) {
		w, err := s.Create(ctx, file("written"), media.AddOptions{})
		if err == nil {
			_, err = w.Write(bytesOf(2, 100*kib))
		}
		return func() error { return do(w) }, err
	}
}

// prepared is a store in which calls have something to do.
func prepared(s *subject) {
	s.policy(calledPolicy)
	s.add(file("there"), bytesOf(1, 150*kib))
	s.add(file("removed"), bytesOf(2, 100))
	s.add(thumbnail("all removed", 1, 1), bytesOf(3, 100))
	s.add(file("called"), bytesOf(4, 100))
	s.cleans(0, 0)
}

// ready prepares all of them.
func (s *subject) ready(ctx context.Context) (names []string, all []func() error) {
	for _, c := range calls() {
		do, err := c.prepare(ctx, s.Store)
		s.p.Must("preparing "+c.method, err)
		names, all = append(names, c.method), append(all, do)
	}
	return names, all
}

func second[A any](_ A, err error) error { return err }

func third[A, B any](_ A, _ B, err error) error { return err }
