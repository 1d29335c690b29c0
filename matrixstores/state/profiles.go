package state

import (
	"encoding/json"
	"maps"
	"slices"

	"maunium.net/go/mautrix/id"
)

// GlobalProfile is a user's profile, as fields that anybody may invent. The
// specification has displayname, avatar_url, and m.tz.
type GlobalProfile map[string]json.RawMessage

// Text returns a field that is a string, and "" where it is none.
func (p GlobalProfile) Text(field string) string { return textOf(p[field]) }

// DisplayName returns the field displayname.
func (p GlobalProfile) DisplayName() string { return p.Text("displayname") }

// AvatarURL returns the field avatar_url.
func (p GlobalProfile) AvatarURL() id.ContentURIString {
	return id.ContentURIString(p.Text("avatar_url"))
}

// ProfileUpdate is what has changed in a global profile.
type ProfileUpdate struct {
	Set    map[string]json.RawMessage // fields that are new, or have another value; each any JSON
	Remove []string                   // fields that are gone; one that is in Set as well is not

	// Drop says that nothing that was known of the user holds any more. What is in Set is then all there is; without it, nothing is kept of him.
	Drop bool
}

// Merge returns the profile with an update. Fields that the update does not name
// stay. drop says that the profile is to be removed. Neither stored, which may be nil, nor u is changed.
func (u ProfileUpdate) Merge(stored GlobalProfile) (merged GlobalProfile, drop bool) {
	if u.Drop {
		if len(u.Set) == 0 {
			return nil, true
		}
		stored = nil
	}
	merged = make(GlobalProfile, len(stored)+len(u.Set))
	maps.Copy(merged, stored)
	for _, field := range u.Remove {
		delete(merged, field)
	}
	maps.Copy(merged, u.Set)
	return merged, false
}

// check returns why an update cannot be stored.
func (u ProfileUpdate) check() error {
	for field, raw := range u.Set {
		if err := checkText(field); err != nil {
			return err
		}
		if !json.Valid(raw) {
			return ErrNotJSON
		}
	}
	return checkText(u.Remove...)
}

// then returns an update that does both, next after u.
func (u ProfileUpdate) then(next ProfileUpdate) ProfileUpdate {
	if next.Drop {
		return next
	}
	out := ProfileUpdate{Drop: u.Drop, Remove: slices.Concat(u.Remove, next.Remove)}
	if len(u.Set)+len(next.Set) > 0 {
		out.Set = make(map[string]json.RawMessage, len(u.Set)+len(next.Set))
		maps.Copy(out.Set, u.Set)
		for _, field := range next.Remove {
			delete(out.Set, field)
		}
		maps.Copy(out.Set, next.Set)
	}
	return out
}
