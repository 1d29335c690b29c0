package state_test

import (
	"errors"
	"testing"

	"github.com/quiesce-go/quiesce/matrixstores/state"
)

func TestOnlyANewerStampReplacesASubscriptionWithAStamp(t *testing.T) {
	const auto, manual, none = state.SubscribedAutomatically, state.SubscribedManually, state.Unsubscribed
	sub := func(s state.SubscriptionStatus) state.Subscription { return state.Subscription{Status: s} }
	stored := func(s state.Subscription) *state.Subscription { return &s }
	for _, c := range []struct {
		name   string
		stored *state.Subscription
		news   state.Subscription
		want   state.Subscription
	}{
		{"nothing, no stamp", nil, sub(auto), sub(auto)},
		{"nothing, a stamp", nil, sub(auto).WithStamp(7), sub(auto).WithStamp(7)},
		{"nothing, a stamp of 0", nil, sub(auto).WithStamp(0), sub(auto).WithStamp(0)},
		{"no stamp, no stamp", stored(sub(auto)), sub(none), sub(none)},
		{"stamp, no stamp", stored(sub(auto).WithStamp(7)), sub(manual), sub(manual).WithStamp(7)},
		{"no stamp, stamp", stored(sub(auto)), sub(manual).WithStamp(1), sub(manual).WithStamp(1)},
		{"stamp, larger", stored(sub(auto).WithStamp(7)), sub(none).WithStamp(8), sub(none).WithStamp(8)},
		{"stamp, the same", stored(sub(auto).WithStamp(7)), sub(none).WithStamp(7), sub(auto).WithStamp(7)},
		{"stamp, smaller", stored(sub(auto).WithStamp(7)), sub(none).WithStamp(6), sub(auto).WithStamp(7)},
		{"stamp of 0, the same", stored(sub(auto).WithStamp(0)), sub(none).WithStamp(0), sub(auto).WithStamp(0)},
		{"a stamp that does not count", nil, state.Subscription{Status: auto, Stamp: 9}, sub(auto)},
	} {
		if got := state.MergeSubscription(c.stored, c.news); got != c.want {
			t.Errorf("%s: the merged subscription is %+v, and should be %+v", c.name, got, c.want)
		}
	}
}

func TestASubscriptionThatNamesNothingIsRefused(t *testing.T) {
	good := state.ThreadSubscription{Room: "!r", Root: "$t", Subscription: state.Subscription{Status: state.Unsubscribed}}
	if err := good.Check(); err != nil {
		t.Fatalf("a whole subscription is refused: %v", err)
	}
	for _, c := range []struct {
		change func(*state.ThreadSubscription)
		want   error
	}{
		{func(s *state.ThreadSubscription) { s.Room = "" }, state.ErrNoRoomID},
		{func(s *state.ThreadSubscription) { s.Root = "" }, state.ErrNoEventID},
		{func(s *state.ThreadSubscription) { s.Status = "" }, state.ErrStatus},
		{func(s *state.ThreadSubscription) { s.Status = "sometimes" }, state.ErrStatus},
		{func(s *state.ThreadSubscription) { s.Subscription = s.WithStamp(state.MaxBumpStamp + 1) }, state.ErrBumpStamp},
		{func(s *state.ThreadSubscription) { s.Root = "\xff" }, state.ErrNotUTF8},
		{func(s *state.ThreadSubscription) { s.Room = "!\xff" }, state.ErrNotUTF8},
	} {
		bad := good
		c.change(&bad)
		if err := bad.Check(); !errors.Is(err, c.want) {
			t.Errorf("%+v: the error is %v, and should match %v", bad, err, c.want)
		}
	}
}
