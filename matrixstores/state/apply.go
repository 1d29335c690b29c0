package state

import (
	"encoding/json"
	"slices"

	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"
)

// Apply does what Changes promises, by the steps of a transaction. It is for stores: SaveChanges of a store is Check, and
// then Apply in a transaction. It is the same for all of them, so that they all give the same answers.
func (c *Changes) Apply(tx Tx) error {
	if c.SyncToken != "" {
		token, err := EncodeValue(SyncToken(), c.SyncToken)
		if err != nil {
			return err
		}
		if err := tx.SetValue(SyncToken().ValueKey, token); err != nil {
			return err
		}
	}
	for _, eventType := range sortedKeys(c.AccountData) {
		if err := tx.PutAccountData(eventType, c.AccountData[eventType]); err != nil {
			return err
		}
	}
	direct, err := c.direct(tx)
	if err != nil {
		return err
	}
	for _, room := range sortedKeys(c.RoomAccountData) {
		for _, eventType := range sortedKeys(c.RoomAccountData[room]) {
			if err := tx.PutRoomAccountData(room, eventType, c.RoomAccountData[room][eventType]); err != nil {
				return err
			}
		}
	}
	for _, user := range sortedKeys(c.Presence) {
		if err := tx.PutPresence(user, c.Presence[user]); err != nil {
			return err
		}
	}
	for _, room := range c.rooms(direct) {
		r := roomApply{Changes: c, tx: tx, room: room, direct: direct}
		if err := r.apply(); err != nil {
			return err
		}
	}
	for _, user := range sortedKeys(c.GlobalProfiles) {
		if err := applyProfile(tx, user, c.GlobalProfiles[user]); err != nil {
			return err
		}
	}
	return nil
}

// direct returns the targets of direct chats, by room, where the account data have changed; those that were one, and are not any more, with nothing.
func (c *Changes) direct(tx Tx) (map[id.RoomID][]id.UserID, error) {
	raw, changed := c.AccountData[event.AccountDataDirectChats.Type]
	if !changed {
		return nil, nil
	}
	targets := parseDirect(raw)
	before, err := tx.DirectRooms()
	if err != nil {
		return nil, err
	}
	for _, room := range before {
		if _, still := targets[room]; !still {
			targets[room] = nil
		}
	}
	return targets, nil
}

// rooms returns every room that the Changes is about, in order.
func (c *Changes) rooms(direct map[id.RoomID][]id.UserID) []id.RoomID {
	rooms := slices.Concat(
		sortedKeys(c.RoomAccountData), sortedKeys(c.RoomInfos), sortedKeys(c.Updates), sortedKeys(c.RemoveMembers),
		sortedKeys(c.DeleteProfiles), sortedKeys(c.State), sortedKeys(c.Profiles), sortedKeys(c.Stripped), sortedKeys(c.Receipts), sortedKeys(c.Redactions), sortedKeys(c.AmbiguityMaps), sortedKeys(direct),
	)
	slices.Sort(rooms)
	return slices.Compact(rooms)
}

func applyProfile(tx Tx, user id.UserID, u ProfileUpdate) error {
	stored, err := tx.GlobalProfile(user)
	if err != nil {
		return err
	}
	merged, drop := u.Merge(stored)
	if drop {
		return tx.DeleteGlobalProfile(user)
	}
	return tx.PutGlobalProfile(user, merged)
}

// roomApply applies what a Changes says of one room.
type roomApply struct {
	*Changes
	tx     Tx
	room   id.RoomID
	direct map[id.RoomID][]id.UserID

	info    *RoomInfo // nil: there is none
	given   bool      // info was given whole
	fresh   bool      // there was none before
	changes RoomChanges

	redacted map[id.UserID]bool // of whom something was redacted
	service  bool               // an event that names service members has changed
}

func (r *roomApply) apply() error {
	if err := r.openInfo(); err != nil {
		return err
	}
	if err := r.purge(); err != nil {
		return err
	}
	if r.fresh {
		if err := r.catchUp(); err != nil {
			return err
		}
	}
	if filter, remove := r.RemoveMembers[r.room]; remove {
		r.changes.Members = true
		if err := r.tx.RemoveMembers(r.room, filter); err != nil {
			return err
		}
	}
	for _, user := range r.DeleteProfiles[r.room] {
		if err := r.tx.DeleteProfile(r.room, user); err != nil {
			return err
		}
	}
	profiles := r.Profiles[r.room]
	for _, user := range sortedKeys(profiles) { // before the members, whose names depend on them
		if err := r.tx.PutProfile(r.room, user, profiles[user]); err != nil {
			return err
		}
	}
	if err := r.putEvents(r.State[r.room], false); err != nil {
		return err
	}
	if err := r.putEvents(r.Stripped[r.room], true); err != nil {
		return err
	}
	if err := r.rename(); err != nil {
		return err
	}
	for _, receipt := range r.Receipts[r.room] {
		if err := r.tx.PutReceipt(r.room, receipt); err != nil {
			return err
		}
	}
	if err := r.redact(); err != nil {
		return err
	}
	if err := r.putNames(); err != nil {
		return err
	}
	return r.putInfo()
}

// openInfo finds the room's information: given, stored, or, for an update that says what the room is, new.
func (r *roomApply) openInfo() error {
	if info := r.RoomInfos[r.room]; info != nil {
		r.info, r.given = info, true
		return nil
	}
	info, err := r.tx.RoomInfo(r.room)
	if err != nil {
		return err
	}
	update := r.Updates[r.room]
	if info == nil && update != nil && update.State != 0 {
		info, r.fresh = NewRoomInfo(r.room, update.State), true
	}
	r.info = info
	r.changes.Update = update
	r.changes.AccountData = r.RoomAccountData[r.room]
	r.changes.Redactions = r.Redactions[r.room]
	if targets, changed := r.direct[r.room]; changed {
		r.changes.DirectTargets, r.changes.DirectChanged = targets, true
	}
	return nil
}

// catchUp tells a new RoomInfo what was stored before there was one.
func (r *roomApply) catchUp() error {
	var known RoomChanges
	r.service = true
	for _, eventType := range infoState {
		if namesServiceMembers(eventType) {
			continue
		}
		e, found, err := r.tx.StateEvent(r.room, eventType, "")
		if err != nil {
			return err
		}
		if found {
			known.State = append(known.State, e)
		}
	}
	for _, eventType := range infoAccountData {
		raw, err := r.tx.RoomAccountData(r.room, eventType)
		if err != nil {
			return err
		}
		if raw != nil {
			put(&known.AccountData, eventType, raw)
		}
	}
	if r.direct == nil {
		raw, err := r.tx.AccountData(event.AccountDataDirectChats.Type)
		if err != nil {
			return err
		}
		known.DirectTargets, known.DirectChanged = parseDirect(raw)[r.room], true
	}
	r.info.Apply(known)
	return nil
}

// purge removes the state that gives way to that of the other kind.
func (r *roomApply) purge() error {
	state := RoomState(0)
	if r.given {
		state = r.info.State
	} else if r.changes.Update != nil {
		state = r.changes.Update.State
	}
	if state == Invited {
		if err := r.tx.RemoveState(r.room, false); err != nil {
			return err
		}
	}
	if state != 0 && state != Invited || len(r.State[r.room]) > 0 {
		return r.tx.RemoveState(r.room, true)
	}
	return nil
}

// putEvents stores state events of one kind, and the members that they are about.
func (r *roomApply) putEvents(types map[string]map[string]json.RawMessage, stripped bool) error {
	for _, eventType := range sortedKeys(types) {
		keys := types[eventType]
		for _, key := range sortedKeys(keys) {
			e := StateEvent{Type: eventType, StateKey: key, Stripped: stripped, Raw: keys[key]}
			if err := r.putEvent(e); err != nil {
				return err
			}
		}
	}
	return nil
}

func (r *roomApply) putEvent(e StateEvent) error {
	switch {
	case e.StateKey != "" || !infoCares(e.Type):
	case namesServiceMembers(e.Type):
		r.service = true
	default:
		r.changes.State = append(r.changes.State, e)
	}
	if e.Type != event.StateMember.Type {
		return r.tx.PutState(r.room, e, EventID(e.Raw))
	}
	m, ok := ParseMember(e)
	if !ok {
		return r.tx.PutState(r.room, e, EventID(e.Raw))
	}
	if err := r.tx.PutState(r.room, e, m.EventID); err != nil {
		return err
	}
	return r.putMember(m)
}

// putMember stores a member with the name that counts.
func (r *roomApply) putMember(m Member) error {
	r.changes.Members = true
	if !Active.Has(m.Membership) {
		return r.tx.PutMember(r.room, m, "")
	}
	var profile *Profile
	if m.Sender != m.User { // otherwise his profile does not matter, and need not be looked up
		p, found, err := r.tx.Profile(r.room, m.User)
		if err != nil {
			return err
		}
		if found {
			profile = &p
		}
	}
	return r.tx.PutMember(r.room, m, NameKey(MemberName(&m, profile)))
}

// rename gives those members another name whose profiles have changed, and about whom somebody else has spoken last.
func (r *roomApply) rename() error {
	users := slices.Concat(r.DeleteProfiles[r.room], sortedKeys(r.Profiles[r.room]))
	slices.Sort(users)
	events := r.State[r.room][event.StateMember.Type]
	for _, user := range slices.Compact(users) {
		if _, done := events[string(user)]; done {
			continue
		}
		m, found, err := r.tx.Member(r.room, user)
		if err != nil {
			return err
		}
		if found && m.Sender != m.User {
			if err := r.putMember(m); err != nil {
				return err
			}
		}
	}
	return nil
}

// redact applies the redactions.
func (r *roomApply) redact() error {
	redactions := r.Redactions[r.room]
	if len(redactions) == 0 {
		return nil
	}
	version, err := r.version()
	if err != nil {
		return err
	}
	for _, evt := range sortedKeys(redactions) {
		e, found, err := r.tx.StateByID(r.room, evt)
		if err != nil {
			return err
		}
		if found && !IsRedacted(e.Raw) {
			if e.Raw, err = Redact(version, e.Raw, redactions[evt]); err != nil {
				return inRoom(err, r.room, evt)
			}
			if err := r.putEvent(e); err != nil {
				return err
			}
			if e.Type == event.StateMember.Type {
				put(&r.redacted, id.UserID(e.StateKey), true)
			}
		}
		// The event may be there no more, and what came from it still.
		users, err := r.tx.ProfilesFrom(r.room, evt)
		if err != nil {
			return err
		}
		slices.Sort(users)
		for _, user := range users {
			if err := r.redactProfile(user); err != nil {
				return err
			}
		}
	}
	return nil
}

// version returns the version of the room, as its create event says: it may be in this very Changes.
func (r *roomApply) version() (id.RoomVersion, error) {
	if r.info != nil && r.info.Create != nil {
		return r.info.RoomVersion(), nil
	}
	e, found, err := r.tx.StateEvent(r.room, event.StateCreate.Type, "")
	if err != nil || !found {
		return id.RoomV1, err
	}
	return parseCreate(e.Raw).Version, nil
}

// redactProfile takes out of a profile what was redacted of the event that it came from.
func (r *roomApply) redactProfile(user id.UserID) error {
	put(&r.redacted, user, true)
	p, found, err := r.tx.Profile(r.room, user)
	if err != nil || !found || p.Redacted {
		return err
	}
	p.Content, p.Redacted = event.MemberEventContent{Membership: p.Content.Membership}, true
	if err := r.tx.PutProfile(r.room, user, p); err != nil {
		return err
	}
	m, found, err := r.tx.Member(r.room, user)
	if err != nil || !found {
		return err
	}
	return r.putMember(m)
}

// putNames stores the users that were given for names.
func (r *roomApply) putNames() error {
	names := r.AmbiguityMaps[r.room]
	buckets := make(map[string][]id.UserID, len(names))
	for _, name := range sortedKeys(names) {
		buckets[NameKey(name)] = names[name]
	}
	for _, key := range sortedKeys(buckets) {
		users := slices.Clone(buckets[key])
		slices.Sort(users)
		if err := r.tx.PutNames(r.room, key, slices.Compact(users)); err != nil {
			return err
		}
	}
	return nil
}

// putInfo brings the room's information up to date, and stores it.
func (r *roomApply) putInfo() error {
	if r.given {
		return r.tx.PutRoomInfo(r.info)
	}
	if r.info == nil {
		return nil
	}
	if err := r.serviceMembers(); err != nil {
		return err
	}
	if r.changes.Empty() {
		return nil
	}
	r.info.Apply(r.changes)
	for i := range r.info.Summary.Heroes {
		if hero := &r.info.Summary.Heroes[i]; r.redacted[hero.User] { // and what was looked up before may be just that
			hero.Name, hero.AvatarURL = "", ""
		}
	}
	name, err := r.displayName()
	if err != nil {
		return err
	}
	r.info.DisplayName = name
	return r.tx.PutRoomInfo(r.info)
}

// serviceMembers takes in the one event that counts of those that name service members: the stable one, unless it has no list.
func (r *roomApply) serviceMembers() error {
	if !r.service {
		return nil
	}
	counts := StateEvent{Type: memberHints} // which names nobody
	for _, eventType := range []string{memberHints, event.StateElementFunctionalMembers.Type} {
		e, found, err := r.tx.StateEvent(r.room, eventType, "")
		if err != nil {
			return err
		}
		if _, list := object(object(e.Raw)["content"])["service_members"]; found && list {
			counts = e
			break
		}
	}
	r.changes.State = append(r.changes.State, counts)
	return nil
}

// displayName looks the members up that the room is called after, if it has no name of its own.
func (r *roomApply) displayName() (DisplayName, error) {
	info := r.info
	if name := info.ComputeDisplayName(r.User, nil, 0); name.Kind == NameGiven || name.Kind == NameAlias {
		return name, nil
	}
	if len(info.Summary.Heroes) > 0 {
		for i := range info.Summary.Heroes {
			hero := &info.Summary.Heroes[i]
			m, found, err := r.tx.Member(r.room, hero.User)
			if err != nil {
				return DisplayName{}, err
			}
			// Who is there is called as he says, also where he has taken his name back. Of who is not, the name that he had is better than none.
			if found && (Active.Has(m.Membership) || m.DisplayName != "" || hero.Name == "") {
				hero.Name, hero.AvatarURL = m.DisplayName, m.AvatarURL
			}
		}
		return info.ComputeDisplayName(r.User, info.Summary.Heroes, info.activeOr(int64(len(info.Summary.Heroes))+1)), nil
	}

	active := info.activeOr(-1)
	if active < 0 || info.State == Invited || info.State == Knocked { // through the door one sees some members, and no counts
		n, err := r.tx.CountMembers(r.room, Active)
		if err != nil {
			return DisplayName{}, err
		}
		active = n
	}
	filter := Active
	if active <= 1 {
		filter = Leave | Ban // those who were there
	}
	members, err := r.tx.Members(r.room, filter, maxHeroes+1+len(info.ServiceMembers))
	if err != nil {
		return DisplayName{}, err
	}
	heroes := make([]Hero, len(members))
	for i, m := range members {
		heroes[i] = Hero{User: m.User, Name: m.DisplayName, AvatarURL: m.AvatarURL}
	}
	return info.ComputeDisplayName(r.User, heroes, active), nil
}

// inRoom says in which room a redaction failed.
func inRoom(err error, room id.RoomID, evt id.EventID) error {
	if e, ok := err.(*RedactionError); ok {
		return &RedactionError{Room: room, Event: evt, Reason: e.Reason}
	}
	return err
}
