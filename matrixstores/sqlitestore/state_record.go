package sqlitestore

import (
	"encoding/binary"
	"encoding/json"
	"fmt"

	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"

	"github.com/quiesce-go/quiesce/matrixstores/state"
)

// The records of the state store that are many, and read often: a version, then
// fields, each behind its length. What is JSON stays as it came, byte for byte. A record that is the last part of
// a value has no length.

const stateRecordVersion = 1

// Versions of programs share a store, so what a newer one has written is told from what is damaged.
var errNewerRecord = fmt.Errorf("%w: a record", state.ErrNewer)

// fields reads a record.
type fields struct {
	rest string
	bad  bool
}

// readRecord begins to read. The bytes are copied once, for all fields together.
func readRecord(b []byte) (f fields, err error) {
	switch {
	case len(b) == 0:
		return f, state.ErrBroken
	case b[0] != stateRecordVersion:
		return f, errNewerRecord
	}
	return fields{rest: string(b[1:])}, nil
}

func (f *fields) number() uint64 {
	var n uint64
	for i := 0; i < len(f.rest) && i < binary.MaxVarintLen64; i++ {
		c := f.rest[i]
		n |= uint64(c&0x7f) << (7 * i)
		if c < 0x80 {
			f.rest = f.rest[i+1:]
			return n
		}
	}
	f.bad, f.rest = true, ""
	return 0
}

func (f *fields) next() string {
	n := f.number()
	if n > uint64(len(f.rest)) {
		f.bad, f.rest = true, ""
		return ""
	}
	s := f.rest[:n]
	f.rest = f.rest[n:]
	return s
}

func (f *fields) err() error {
	if f.bad {
		return state.ErrBroken
	}
	return nil
}

// appendState appends a state event as a record.
func appendState(dst []byte, e *state.StateEvent) []byte {
	dst = append(dst, stateRecordVersion)
	dst = appendField(dst, e.Type)
	dst = appendField(dst, e.StateKey)
	return append(dst, e.Raw...)
}

// parseState is the state event of a record, whose bytes it keeps.
func parseState(b []byte, stripped bool) (e state.StateEvent, err error) {
	if len(b) == 0 {
		return e, state.ErrBroken
	}
	if b[0] != stateRecordVersion {
		return e, errNewerRecord
	}
	var texts [2]string
	b = b[1:]
	for i := range texts {
		n, used := binary.Uvarint(b)
		if used <= 0 || n > uint64(len(b)-used) {
			return e, state.ErrBroken
		}
		texts[i], b = typeText(b[used:used+int(n)]), b[used+int(n):]
	}
	return state.StateEvent{Type: texts[0], StateKey: texts[1], Stripped: stripped, Raw: json.RawMessage(b)}, nil
}

// Bits in the record of a member. The lowest five are his membership.
const (
	memberDirect  = 1 << 5
	memberHimself = 1 << 6 // he is the sender
)

var memberships = [...]event.Membership{
	state.Join: event.MembershipJoin, state.Invite: event.MembershipInvite, state.Knock: event.MembershipKnock,
	state.Leave: event.MembershipLeave, state.Ban: event.MembershipBan,
}

// appendMember appends a member as a record.
func appendMember(dst []byte, m *state.Member) []byte {
	bits := byte(state.MembershipOf(m.Membership))
	membership, sender := "", m.Sender
	if bits == 0 {
		membership = string(m.Membership)
	}
	if m.IsDirect {
		bits |= memberDirect
	}
	if sender == m.User {
		bits |= memberHimself
		sender = ""
	}
	dst = append(dst, stateRecordVersion, bits)
	dst = appendField(dst, m.User)
	dst = appendField(dst, membership)
	dst = appendField(dst, m.DisplayName)
	dst = appendField(dst, m.AvatarURL)
	dst = appendField(dst, sender)
	dst = appendField(dst, m.EventID)
	return appendField(dst, m.Reason)
}

// parseMember is the member of a record.
func parseMember(b []byte, stripped bool) (m state.Member, err error) {
	f, err := readRecord(b)
	if err != nil {
		return m, err
	}
	bits := f.number()
	m = state.Member{
		User: id.UserID(f.next()), Membership: event.Membership(f.next()), Stripped: stripped, DisplayName: f.next(),
		AvatarURL: id.ContentURIString(f.next()), Sender: id.UserID(f.next()), EventID: id.EventID(f.next()),
		IsDirect: bits&memberDirect != 0, Reason: f.next(),
	}
	if known := state.Memberships(bits) & state.AnyKnown; known != 0 && int(known) < len(memberships) {
		m.Membership = memberships[known]
	}
	if bits&memberHimself != 0 {
		m.Sender = m.User
	}
	return m, f.err()
}

// memberUser is only whose record it is.
func memberUser(b []byte) (id.UserID, error) {
	if len(b) < 2 {
		return "", state.ErrBroken
	}
	if b[0] != stateRecordVersion {
		return "", errNewerRecord
	}
	n, used := binary.Uvarint(b[2:])
	if used <= 0 || n > uint64(len(b)-2-used) {
		return "", state.ErrBroken
	}
	return id.UserID(b[2+used : 2+used+int(n)]), nil
}

// appendReceipt appends a receipt as a record.
func appendReceipt(dst []byte, r *state.Receipt) ([]byte, error) {
	dst = append(dst, stateRecordVersion)
	dst = appendField(dst, r.Event)
	dst = appendField(dst, r.Type)
	dst = appendField(dst, r.Thread.Key())
	dst = appendField(dst, r.User)
	dst = binary.AppendUvarint(dst, uint64(r.Timestamp))
	if r.Extra == nil {
		return dst, nil
	}
	extra, err := plainJSON(r.Extra)
	return append(dst, extra...), err
}

// parseReceipt is the receipt of a record.
func parseReceipt(b []byte) (r state.Receipt, err error) {
	f, err := readRecord(b)
	if err != nil {
		return r, err
	}
	r = state.Receipt{Event: id.EventID(f.next()), Type: event.ReceiptType(f.next())}
	thread := f.next()
	r.User, r.Timestamp = id.UserID(f.next()), int64(f.number())
	if err := f.err(); err != nil {
		return state.Receipt{}, err
	}
	if r.Thread, err = state.ParseThreadKey([]byte(thread)); err != nil {
		return state.Receipt{}, err
	}
	if f.rest != "" && json.Unmarshal([]byte(f.rest), &r.Extra) != nil {
		return state.Receipt{}, state.ErrBroken
	}
	return r, nil
}

// appendUsers appends users as a record.
func appendUsers(dst []byte, users []id.UserID) []byte {
	dst = append(dst, stateRecordVersion)
	for _, user := range users {
		dst = appendField(dst, user)
	}
	return dst
}

// parseUsers is the users of a record.
func parseUsers(b []byte) (users []id.UserID, err error) {
	f, err := readRecord(b)
	if err != nil {
		return nil, err
	}
	for f.rest != "" {
		users = append(users, id.UserID(f.next()))
	}
	return users, f.err()
}

// appendTexts appends what is found by two texts, of which the second may be empty, and is JSON.
func appendTexts(dst []byte, first, second string, document []byte) []byte {
	dst = append(dst, stateRecordVersion)
	dst = appendField(dst, first)
	dst = appendField(dst, second)
	return append(dst, document...)
}

func parseTexts(b []byte) (first, second string, document []byte, err error) {
	f, err := readRecord(b)
	if err != nil {
		return "", "", nil, err
	}
	first, second = f.next(), f.next()
	return first, second, []byte(f.rest), f.err()
}
