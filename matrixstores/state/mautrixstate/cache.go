package mautrixstate

import (
	"sync"

	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"
)

// cache is what the memberships of some members were when they were last asked for. It
// answers only for a store that fails, so what it forgets first does not matter.
type cache struct {
	max int
	mu  sync.Mutex
	m   map[cached]event.Membership
}

type cached struct {
	room id.RoomID
	user id.UserID
}

func (c *cache) put(room id.RoomID, user id.UserID, m event.Membership) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.m == nil {
		c.m = make(map[cached]event.Membership)
	}
	k := cached{room, user}
	if _, is := c.m[k]; !is && len(c.m) >= c.max {
		for some := range c.m {
			delete(c.m, some)
			break
		}
	}
	c.m[k] = m
}

func (c *cache) get(room id.RoomID, user id.UserID) (m event.Membership, known bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	m, known = c.m[cached{room, user}]
	return m, known
}
