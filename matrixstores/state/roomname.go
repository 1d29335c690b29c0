package state

import (
	"fmt"
	"strings"

	"maunium.net/go/mautrix/id"
)

// maxHeroes is after how many members a room is called at most, by the specification.
const maxHeroes = 5

// ComputeDisplayName returns what to call the room, by the rules of the
// specification (client-server API, "Calculating the display name for a room"): its name, else its canonical alias, else
// the names of its heroes. user is who looks at it, and does not count; nor do ServiceMembers.
//
// heroes are the members after whom it may be called, with their names, in the order in which they are to
// appear; more than five are not used. Of two with the same name the id is added. active is how many have joined
// or are invited, user included. Where that is nobody but him, the heroes are those who were there.
func (info *RoomInfo) ComputeDisplayName(user id.UserID, heroes []Hero, active int64) DisplayName {
	if name := strings.TrimSpace(info.Name); name != "" {
		return DisplayName{NameGiven, name}
	}
	if info.CanonicalAlias != "" {
		return DisplayName{NameAlias, string(info.CanonicalAlias)}
	}

	var shown []Hero
	for _, hero := range heroes {
		switch {
		case info.isServiceMember(hero.User):
			active--
		case hero.User != user && len(shown) < maxHeroes:
			shown = append(shown, hero)
		}
	}
	names := heroNames(shown)
	others := active - 1 // without the user
	switch {
	case others <= 0 && len(names) == 0:
		return DisplayName{Kind: NameEmpty}
	case others <= 0:
		return DisplayName{NameWas, join(names, 0)}
	case len(names) == 0:
		return DisplayName{NameCalculated, people(others)}
	default:
		return DisplayName{NameCalculated, join(names, max(others-int64(len(names)), 0))}
	}
}

func (info *RoomInfo) isServiceMember(user id.UserID) bool {
	for _, s := range info.ServiceMembers {
		if s == user {
			return true
		}
	}
	return false
}

// heroNames returns how to call each, so that no two are called the same.
func heroNames(heroes []Hero) []string {
	names := make([]string, len(heroes))
	same := make(map[string]int, len(heroes))
	for i, hero := range heroes {
		names[i] = strings.TrimSpace(hero.Name)
		if names[i] == "" {
			names[i] = localpart(hero.User)
		}
		same[NameKey(names[i])]++
	}
	for i, hero := range heroes {
		if same[NameKey(names[i])] > 1 {
			names[i] = fmt.Sprintf("%s (%s)", names[i], hero.User)
		}
	}
	return names
}

// join returns "A", "A and B", "A, B and C", or "A, B and 3 others".
func join(names []string, others int64) string {
	last := names[len(names)-1]
	switch {
	case others == 1:
		last, names = "1 other", append(names, "")
	case others > 1:
		last, names = fmt.Sprintf("%d others", others), append(names, "")
	}
	if len(names) == 1 {
		return last
	}
	return strings.Join(names[:len(names)-1], ", ") + " and " + last
}

// people returns what a room is called of whose members no name is known.
func people(others int64) string {
	if others == 1 {
		return "1 other"
	}
	return fmt.Sprintf("%d others", others)
}

// activeOr returns how many have joined or are invited, and def where that is not known.
func (info *RoomInfo) activeOr(def int64) int64 {
	s := info.Summary
	if s.Joined == nil && s.Invited == nil {
		return def
	}
	var n int64
	if s.Joined != nil {
		n += *s.Joined
	}
	if s.Invited != nil {
		n += *s.Invited
	}
	return n
}
