package state

import (
	"encoding/json"
	"fmt"
	"strings"

	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"
)

// Memberships is a set of memberships. The zero value is no filter: all.
type Memberships uint8

// The memberships. Their numbers are stored, and never change.
const (
	Join Memberships = 1 << iota
	Invite
	Knock
	Leave
	Ban

	// Active are those who are in the room, or may come in.
	Active = Join | Invite

	// AnyKnown are the five of the specification. Unlike 0, it excludes memberships that are none of them.
	AnyKnown = Join | Invite | Knock | Leave | Ban
)

var membershipNames = map[event.Membership]Memberships{
	event.MembershipJoin:   Join,
	event.MembershipInvite: Invite,
	event.MembershipKnock:  Knock,
	event.MembershipLeave:  Leave,
	event.MembershipBan:    Ban,
}

// MembershipOf returns the set of one membership; 0 for one that is none of the five.
func MembershipOf(m event.Membership) Memberships { return membershipNames[m] }

// MembershipsOf returns the set of these memberships. Those that are none of the five are left out.
func MembershipsOf(ms ...event.Membership) Memberships {
	var set Memberships
	for _, m := range ms {
		set |= membershipNames[m]
	}
	return set
}

// Has says whether the set, as a filter, lets a membership through: the zero value does any.
func (ms Memberships) Has(m event.Membership) bool { return ms == 0 || ms&membershipNames[m] != 0 }

// String returns the names, joined by |.
func (ms Memberships) String() string {
	if ms == 0 {
		return "all"
	}
	var names []string
	for _, m := range []event.Membership{
		event.MembershipJoin, event.MembershipInvite, event.MembershipKnock, event.MembershipLeave, event.MembershipBan,
	} {
		if ms&membershipNames[m] != 0 {
			names = append(names, string(m))
		}
	}
	if rest := ms &^ AnyKnown; rest != 0 {
		names = append(names, fmt.Sprintf("%#x", uint8(rest)))
	}
	return strings.Join(names, "|")
}

// Member is a member of a room, as the last m.room.member event about him says. It
// has what a list of members needs; the rest is in the event (ReadMember).
type Member struct {
	User       id.UserID
	Membership event.Membership // any text; usually one of the five
	Stripped   bool             // as that of StateEvent

	// DisplayName and AvatarURL are those in the event. They may be empty. What
	// others say of a user is not to be trusted: see MemberName.
	DisplayName string
	AvatarURL   id.ContentURIString

	Sender   id.UserID  // of the event: who has invited, banned, …; the user himself where he joined, or changed his name
	EventID  id.EventID // may be empty
	IsDirect bool       // of an invite
	Reason   string
}

// ParseMember makes a Member of an m.room.member event. ok is false where the
// event has no membership, or no user; such an event changes no member. What is missing, or has another
// JSON type than the specification says, is left empty.
func ParseMember(e StateEvent) (m Member, ok bool) {
	var evt struct {
		ID      text `json:"event_id"`
		Sender  text `json:"sender"`
		Content struct {
			Membership  text `json:"membership"`
			DisplayName text `json:"displayname"`
			AvatarURL   text `json:"avatar_url"`
			IsDirect    flag `json:"is_direct"`
			Reason      text `json:"reason"`
		} `json:"content"`
	}
	content := &evt.Content
	if e.StateKey == "" || json.Unmarshal(e.Raw, &evt) != nil || content.Membership == "" {
		return Member{}, false
	}
	return Member{
		User: id.UserID(e.StateKey), Membership: event.Membership(content.Membership), Stripped: e.Stripped,
		DisplayName: string(content.DisplayName), AvatarURL: id.ContentURIString(content.AvatarURL),
		Sender: id.UserID(evt.Sender), EventID: id.EventID(evt.ID),
		IsDirect: bool(content.IsDirect), Reason: string(content.Reason),
	}, true
}

// Content returns the member as mautrix knows members.
func (m *Member) Content() *event.MemberEventContent {
	return &event.MemberEventContent{
		Membership: m.Membership, AvatarURL: m.AvatarURL, Displayname: m.DisplayName, IsDirect: m.IsDirect, Reason: m.Reason,
	}
}

// MemberName returns the name of a member that counts for DisplayNames. Nobody
// can give a name to somebody else: where the event comes from the user himself, it is
// the name in it; otherwise that of his profile, if he has one, and else that in the event. Without a
// name it is the local part of his id.
func MemberName(m *Member, profile *Profile) string {
	name := m.DisplayName
	if profile != nil && m.Sender != m.User {
		name = profile.Content.Displayname
	}
	if name == "" {
		name = localpart(m.User)
	}
	return name
}

// localpart returns what is between the @ and the colon of an id, and the whole of what is no such id.
func localpart(user id.UserID) string {
	if rest, is := strings.CutPrefix(string(user), "@"); is {
		if local, _, is := strings.Cut(rest, ":"); is && local != "" {
			return local
		}
	}
	return string(user)
}

// Profile is the profile of a user in a room: the content of the last member event that he has sent himself.
type Profile struct {
	Content  event.MemberEventContent `json:"content"`
	EventID  id.EventID               `json:"event_id,omitempty"`
	Redacted bool                     `json:"redacted,omitempty"` // nothing but the membership is left
}
