package state

import (
	"bytes"
	"encoding/json"
	"slices"

	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"
)

// RoomChanges is what a Changes says of one room, as far as its RoomInfo is about it.
type RoomChanges struct {
	Update *RoomUpdate // may be nil

	// State are the state events that are new, stripped or not, in the order in which they are to be taken in.
	State []StateEvent

	// Redactions are redaction events by the id of the event that they redact. What they leave of a state event is in State already.
	Redactions map[id.EventID]json.RawMessage

	// AccountData are events of the room's account data, by type.
	AccountData map[string]json.RawMessage

	// DirectTargets are whose direct chat the room is, if DirectChanged.
	DirectTargets []id.UserID
	DirectChanged bool

	// Members says that members have changed, which may change the room's DisplayName.
	Members bool
}

// Empty says whether there is nothing in it.
func (c *RoomChanges) Empty() bool {
	return c.Update == nil && len(c.State) == 0 && len(c.Redactions) == 0 && len(c.AccountData) == 0 && !c.DirectChanged && !c.Members
}

// infoState are the types of state events, with an empty state key, that a RoomInfo is about, in the order in which they matter to each other.
var infoState = []string{
	event.StateCreate.Type, event.StateRoomName.Type, event.StateTopic.Type, event.StateRoomAvatar.Type, event.StateCanonicalAlias.Type,
	event.StateJoinRules.Type, event.StateHistoryVisibility.Type, event.StateGuestAccess.Type, event.StateEncryption.Type,
	event.StateTombstone.Type, event.StatePinnedEvents.Type, event.StatePowerLevels.Type,
	event.StateElementFunctionalMembers.Type, memberHints,
}

// memberHints is what io.element.functional_members is to be called.
const memberHints = "m.member_hints"

// unstableMarkedUnread is what m.marked_unread was called before.
const unstableMarkedUnread = "com.famedly.marked_unread"

// infoAccountData are the types of a room's account data that a RoomInfo is about.
var infoAccountData = []string{
	event.AccountDataRoomTags.Type, unstableMarkedUnread, event.AccountDataMarkedUnread.Type, event.AccountDataFullyRead.Type,
}

// namesServiceMembers says whether a type of events is one of the two that name service members. Which of them counts, one of them alone does not tell.
func namesServiceMembers(eventType string) bool {
	return eventType == memberHints || eventType == event.StateElementFunctionalMembers.Type
}

func infoCares(eventType string) bool { return slices.Contains(infoState, eventType) }

// Apply brings the information up to date with what is new of the room. It is
// a pure function of both; nothing is looked up, and DisplayName is left as it is (ComputeDisplayName).
func (info *RoomInfo) Apply(c RoomChanges) {
	if c.Update != nil {
		info.applyUpdate(c.Update)
	}
	for _, e := range c.State {
		info.ApplyState(e)
	}
	for _, eventType := range infoAccountData { // in this order: the stable name of two counts
		if raw := c.AccountData[eventType]; raw != nil {
			info.applyAccountData(eventType, object(object(raw)["content"]))
		}
	}
	if c.DirectChanged {
		info.DirectTargets = slices.Clone(c.DirectTargets)
	}
	if l := info.Latest; l != nil && l.EventID != "" {
		if redaction := c.Redactions[l.EventID]; redaction != nil && !IsRedacted(l.Raw) {
			redacted := *l
			var err error
			if redacted.Raw, err = Redact(info.RoomVersion(), l.Raw, redaction); err != nil {
				info.Latest = nil // nothing that was to be redacted is kept
			} else {
				info.Latest = &redacted
			}
		}
	}
}

func (info *RoomInfo) applyUpdate(u *RoomUpdate) {
	if u.State != 0 {
		if info.State.stripped() != u.State.stripped() {
			info.forgetState()
		}
		info.State = u.State
	}
	if u.Counts != nil {
		info.Counts = *u.Counts
	}
	if u.Heroes != nil {
		heroes := slices.Clone(u.Heroes)
		for i, hero := range heroes { // what was looked up before is better than nothing
			if at := slices.IndexFunc(info.Summary.Heroes, func(h Hero) bool { return h.User == hero.User }); at >= 0 && hero.Name == "" {
				heroes[i] = info.Summary.Heroes[at]
			}
		}
		info.Summary.Heroes = heroes
	}
	if u.Joined != nil {
		info.Summary.Joined = pointer(*u.Joined)
	}
	if u.Invited != nil {
		info.Summary.Invited = pointer(*u.Invited)
	}
	if u.PrevBatch != "" {
		info.PrevBatch = u.PrevBatch
	}
	info.Synced = max(info.Synced, u.Synced)
	info.MembersKnown = (info.MembersKnown || u.MembersKnown) && !u.MembersMissing
	info.EncryptionKnown = info.EncryptionKnown || u.EncryptionKnown
	if u.Latest != nil {
		info.Latest = pointer(*u.Latest)
	}
	if u.Read != nil {
		info.Read = *u.Read
		info.Read.Pending = slices.Clone(u.Read.Pending)
	}
	if info.Recency = max(info.Recency, u.Recency); info.Recency == 0 {
		info.Recency = max(u.FirstRecency, 0)
	}
}

// forgetState takes out what came from state events: those of a room that one looks into through the door are not to be
// trusted once one is inside, and those from inside do not hold any more when one is at the door again. That it is encrypted stays.
func (info *RoomInfo) forgetState() {
	info.Name, info.Topic, info.AvatarURL, info.CanonicalAlias, info.AltAliases = "", "", "", "", nil
	info.Create, info.JoinRules, info.HistoryVisibility, info.GuestAccess = nil, nil, "", ""
	info.Tombstone, info.Pinned, info.ServiceMembers, info.MaxPowerLevel = nil, nil, nil, nil
}

// ApplyState takes in one state event, stripped or not. Events of types that it is not about,
// or with another state key than the empty one, change nothing. What is missing in an event, or has another JSON type than the
// specification says, is taken as not set.
func (info *RoomInfo) ApplyState(e StateEvent) {
	if e.StateKey != "" {
		return
	}
	content := object(object(e.Raw)["content"])
	switch e.Type {
	case event.StateCreate.Type:
		if info.Create == nil { // a room is made once, and what is left of a redacted event says less
			info.Create = parseCreate(e.Raw)
		}
	case event.StateRoomName.Type:
		info.Name = textOf(content["name"])
	case event.StateTopic.Type:
		info.Topic = textOf(content["topic"])
	case event.StateRoomAvatar.Type:
		info.AvatarURL = id.ContentURIString(textOf(content["url"]))
	case event.StateCanonicalAlias.Type:
		info.CanonicalAlias = id.RoomAlias(textOf(content["alias"]))
		info.AltAliases = textsOf[id.RoomAlias](content["alt_aliases"])
	case event.StateJoinRules.Type:
		info.JoinRules = parseJoinRules(content)
	case event.StateHistoryVisibility.Type:
		info.HistoryVisibility = event.HistoryVisibility(textOf(content["history_visibility"]))
	case event.StateGuestAccess.Type:
		info.GuestAccess = event.GuestAccess(textOf(content["guest_access"]))
	case event.StateEncryption.Type:
		if algorithm := textOf(content["algorithm"]); algorithm != "" { // without one it is redacted, or nonsense: encrypted it stays
			info.Encryption = &event.EncryptionEventContent{
				Algorithm:              id.Algorithm(algorithm),
				RotationPeriodMillis:   integer(content["rotation_period_ms"]),
				RotationPeriodMessages: int(integer(content["rotation_period_msgs"])),
			}
			info.EncryptionKnown = true
		}
	case event.StateTombstone.Type:
		info.Tombstone = nil
		t := event.TombstoneEventContent{Body: textOf(content["body"]), ReplacementRoom: id.RoomID(textOf(content["replacement_room"]))}
		if t != (event.TombstoneEventContent{}) {
			info.Tombstone = &t
		}
	case event.StatePinnedEvents.Type:
		info.Pinned = textsOf[id.EventID](content["pinned"])
	case event.StatePowerLevels.Type:
		info.MaxPowerLevel = maxPowerLevel(content)
	case event.StateElementFunctionalMembers.Type, memberHints:
		info.ServiceMembers = textsOf[id.UserID](content["service_members"])
	}
}

func (info *RoomInfo) applyAccountData(eventType string, content map[string]json.RawMessage) {
	switch eventType {
	case event.AccountDataRoomTags.Type:
		tags := object(content["tags"])
		info.Tags = Tags{Favourite: parseTag(tags, event.RoomTagFavourite), LowPriority: parseTag(tags, event.RoomTagLowPriority)}
	case event.AccountDataMarkedUnread.Type, unstableMarkedUnread:
		info.MarkedUnread = string(content["unread"]) == "true"
	case event.AccountDataFullyRead.Type:
		if evt := textOf(content["event_id"]); evt != "" {
			info.FullyRead = id.EventID(evt)
		}
	}
}

func parseCreate(raw json.RawMessage) *Create {
	evt := object(raw)
	content := object(evt["content"])
	c := &Create{
		Version:   id.RoomVersion(textOf(content["room_version"])),
		Type:      event.RoomType(textOf(content["type"])),
		Federated: string(content["m.federate"]) != "false",
	}
	if c.Version == "" {
		c.Version = id.RoomV1
	}
	creator := textOf(evt["sender"])
	if creator == "" { // what has no sender may still have this, in old rooms
		creator = textOf(content["creator"])
	}
	if creator != "" {
		c.Creators = append(c.Creators, id.UserID(creator))
	}
	if c.Version.PrivilegedRoomCreators() {
		c.Creators = append(c.Creators, textsOf[id.UserID](content["additional_creators"])...)
	}
	if p := object(content["predecessor"]); p != nil {
		c.Predecessor = &event.Predecessor{RoomID: id.RoomID(textOf(p["room_id"])), EventID: id.EventID(textOf(p["event_id"]))}
	}
	return c
}

func parseJoinRules(content map[string]json.RawMessage) *event.JoinRulesEventContent {
	rule := textOf(content["join_rule"])
	if rule == "" {
		return nil
	}
	rules := &event.JoinRulesEventContent{JoinRule: event.JoinRule(rule)}
	var allow []json.RawMessage
	_ = json.Unmarshal(content["allow"], &allow) // what is no list allows nobody
	for _, raw := range allow {
		if a := object(raw); a != nil {
			rules.Allow = append(rules.Allow, event.JoinRuleAllow{
				RoomID: id.RoomID(textOf(a["room_id"])), Type: event.JoinRuleAllowType(textOf(a["type"])),
			})
		}
	}
	return rules
}

// maxPowerLevel returns the highest level of any user.
func maxPowerLevel(content map[string]json.RawMessage) *int64 {
	highest := integer(content["users_default"])
	for _, raw := range object(content["users"]) {
		if level, ok := integerOf(raw); ok {
			highest = max(highest, level)
		}
	}
	return &highest
}

func parseTag(tags map[string]json.RawMessage, name event.RoomTag) *Tag {
	raw, tagged := tags[string(name)]
	if !tagged {
		return nil
	}
	var order float64
	at := bytes.TrimSpace(object(raw)["order"])
	if len(at) > 0 && at[0] == '"' { // some clients write it as a string
		at = []byte(textOf(at))
	}
	if len(at) == 0 || string(at) == "null" || json.Unmarshal(at, &order) != nil {
		return &Tag{}
	}
	return &Tag{Order: &order}
}

// parseDirect returns, for each room that m.direct names, whose direct chat it is.
func parseDirect(raw json.RawMessage) map[id.RoomID][]id.UserID {
	targets := make(map[id.RoomID][]id.UserID)
	users := object(object(raw)["content"])
	for _, user := range sortedKeys(users) {
		for _, room := range textsOf[id.RoomID](users[user]) {
			if room != "" && !slices.Contains(targets[room], id.UserID(user)) {
				targets[room] = append(targets[room], id.UserID(user))
			}
		}
	}
	return targets
}

// EventID returns the event_id of an event; empty where it has none.
func EventID(raw json.RawMessage) id.EventID {
	var evt struct {
		ID text `json:"event_id"`
	}
	_ = json.Unmarshal(raw, &evt) // what is no object has none
	return id.EventID(evt.ID)
}

// textsOf returns the strings of a JSON list.
func textsOf[T ~string](raw json.RawMessage) []T {
	var list texts
	_ = list.UnmarshalJSON(raw) // it takes anything
	if len(list) == 0 {
		return nil
	}
	out := make([]T, len(list))
	for i, s := range list {
		out[i] = T(s)
	}
	return out
}

func pointer[T any](v T) *T { return &v }
