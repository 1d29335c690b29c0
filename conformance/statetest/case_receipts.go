package statetest

// Receipts.

import (
	"encoding/json"

	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"

	"github.com/quiesce-go/quiesce/matrixstores/state"
)

var receiptCases = []Case{
	{
		Name:    "receipts",
		Promise: "a receipt moves from one event to another one; those of other threads, types and users are independent; times and unknown fields are kept",
		Origins: from(seed(13), "ST-18", "ST-19", "4.2/receipts", "GAP-ST/receipts of a concrete thread root"), run: caseReceipts,
	},
}

func caseReceipts(p *probe) {
	s := p.open()
	at := func(evt id.EventID, t event.ReceiptType, thread state.ReceiptThread, user id.UserID, ts int64) state.Receipt {
		return state.Receipt{Event: evt, Type: t, Thread: thread, User: user, Timestamp: ts}
	}
	const read, private = event.ReceiptTypeRead, event.ReceiptTypeReadPrivate
	root, other := state.Thread("$root"), state.Thread("main") // which is a root of that name, and not the main timeline
	odd := at("$1", read, other, bob, 5)
	odd.Extra = map[string]json.RawMessage{"own": raw(`"<&>"`)}
	s.save(func(c *state.Changes) {
		c.AddReceipts(kitchen, at("$1", read, state.Unthreaded, alice, 1), at("$1", read, state.MainThread, alice, 2), at("$1", read, root, alice, 3),
			at("$1", private, state.Unthreaded, alice, 4), odd, at("$1", read, state.Unthreaded, bob, 6))
		c.AddReceipts(garden, at("$1", read, state.Unthreaded, alice, 7))
	})
	s.again(func() {
		found(p, "UserReceipt", at("$1", read, state.Unthreaded, alice, 1), true)(s.UserReceipt(p.Ctx, kitchen, read, state.Unthreaded, alice))
		found(p, "UserReceipt with a field of its own", odd, true)(s.UserReceipt(p.Ctx, kitchen, read, other, bob))
		is(p, "EventReceipts", []state.Receipt{at("$1", read, state.Unthreaded, alice, 1), at("$1", read, state.Unthreaded, bob, 6)})(s.EventReceipts(p.Ctx, kitchen, read, state.Unthreaded, "$1"))
	})
	s.save(func(c *state.Changes) {
		c.AddReceipts(kitchen, at("$2", read, state.Unthreaded, alice, 1), at("$2", read, root, alice, 1)) // with an older time: what comes last counts
	})
	s.again(func() {
		for _, want := range []struct {
			t      event.ReceiptType
			thread state.ReceiptThread
			evt    id.EventID
			users  []id.UserID
		}{
			{read, state.Unthreaded, "$1", []id.UserID{bob}}, {read, state.Unthreaded, "$2", []id.UserID{alice}},
			{read, state.MainThread, "$1", []id.UserID{alice}}, {read, state.MainThread, "$2", nil},
			{read, root, "$1", nil}, {read, root, "$2", []id.UserID{alice}},
			{read, other, "$1", []id.UserID{bob}}, {read, other, "$2", nil},
			{private, state.Unthreaded, "$1", []id.UserID{alice}}, {private, root, "$1", nil},
		} {
			is(p, "EventReceipts of "+string(want.t)+" "+want.thread.String()+" "+string(want.evt), want.users)(part(func(all []state.Receipt) (users []id.UserID) {
				for _, r := range all {
					users = append(users, r.User)
				}
				return users
			})(s.EventReceipts(p.Ctx, kitchen, want.t, want.thread, want.evt)))
		}
		found(p, "UserReceipt in the main timeline", at("$1", read, state.MainThread, alice, 2), true)(s.UserReceipt(p.Ctx, kitchen, read, state.MainThread, alice))
		found(p, "UserReceipt in a thread", at("$2", read, root, alice, 1), true)(s.UserReceipt(p.Ctx, kitchen, read, root, alice))
		found(p, "UserReceipt in another room", at("$1", read, state.Unthreaded, alice, 7), true)(s.UserReceipt(p.Ctx, garden, read, state.Unthreaded, alice))
		found(p, "UserReceipt of somebody else", state.Receipt{}, false)(s.UserReceipt(p.Ctx, kitchen, private, state.Unthreaded, bob))
	})
}
