package state

import (
	"fmt"

	"maunium.net/go/mautrix/id"
)

// SubscriptionStatus says whether a user follows a thread. Its texts are stored, and never change.
type SubscriptionStatus string

// The three statuses. Unsubscribed is kept as well, so that no older news makes a subscription of it.
const (
	SubscribedAutomatically SubscriptionStatus = "automatic" // by a client, for example because the user was mentioned
	SubscribedManually      SubscriptionStatus = "manual"    // by the user
	Unsubscribed            SubscriptionStatus = "unsubscribed"
)

// Subscribed says whether the user follows the thread.
func (s SubscriptionStatus) Subscribed() bool {
	return s == SubscribedAutomatically || s == SubscribedManually
}

// MaxBumpStamp is the largest bump stamp, which SQL can still store.
const MaxBumpStamp uint64 = 1<<63 - 1

// Subscription is what is known of a user's subscription of a thread. It is comparable.
type Subscription struct {
	Status SubscriptionStatus

	// Stamp is the bump stamp that the server gave with it: a larger one is newer. It counts only if Stamped.
	Stamp   uint64
	Stamped bool
}

// WithStamp returns the subscription with a bump stamp.
func (s Subscription) WithStamp(stamp uint64) Subscription {
	s.Stamp, s.Stamped = stamp, true
	return s
}

// ThreadSubscription is the subscription of one thread.
type ThreadSubscription struct {
	Room id.RoomID
	Root id.EventID
	Subscription
}

// Check returns why it cannot be stored: an error that matches ErrNoRoomID, ErrNoEventID, ErrStatus, ErrBumpStamp or ErrNotUTF8; or nil.
func (t *ThreadSubscription) Check() error {
	if err := checkRoom(t.Room); err != nil {
		return err
	}
	switch {
	case t.Root == "":
		return ErrNoEventID
	case t.Status != Unsubscribed && !t.Status.Subscribed():
		return fmt.Errorf("%w: %q", ErrStatus, string(t.Status))
	case t.Stamped && t.Stamp > MaxBumpStamp:
		return ErrBumpStamp
	}
	return checkText(string(t.Root))
}

// MergeSubscription returns what is to be stored when news comes of a thread:
//
//	stored      news        result
//	nothing     any         the news
//	no stamp    no stamp    the news
//	stamp a     no stamp    the new status, with the stamp a
//	no stamp    stamp b     the news
//	stamp a     b > a       the news
//	stamp a     b <= a      what is stored
//
// stored is nil where there is nothing. A stamp that does not count is 0 in what is returned.
func MergeSubscription(stored *Subscription, news Subscription) Subscription {
	if !news.Stamped {
		news.Stamp = 0
	}
	switch {
	case stored == nil || !stored.Stamped:
		return news
	case !news.Stamped:
		return news.WithStamp(stored.Stamp)
	case news.Stamp > stored.Stamp:
		return news
	default:
		return *stored
	}
}
