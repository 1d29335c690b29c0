package bench

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"maunium.net/go/mautrix"
	"maunium.net/go/mautrix/event"

	"github.com/quiesce-go/quiesce/driver/sqlite"
	"github.com/quiesce-go/quiesce/matrixstores/state/mautrixstate"
)

// body is a sync response: 100 rooms with 10 events each, of which two are members', one sets the topic, and one the power levels;
// the others are messages. The rooms have names, as large ones do: the first response has them.
func body(n int) []byte {
	var b strings.Builder
	fmt.Fprintf(&b, `{"next_batch":"s%d","rooms":{"join":{`, n)
	for room := range 100 {
		if room > 0 {
			b.WriteString(",")
		}
		fmt.Fprintf(&b, `"!room%d:example.org":{"unread_notifications":{"notification_count":%d},`, room, n)
		if n == 1 {
			fmt.Fprintf(&b, `"state":{"events":[{"event_id":"$name%d","sender":"@user0:example.org","type":"m.room.name","state_key":"","content":{"name":"Room %d"}}]},`, room, room)
		}
		b.WriteString(`"timeline":{"events":[`)
		for i := range 10 {
			if i > 0 {
				b.WriteString(",")
			}
			number := (n*100+room)*10 + i
			fmt.Fprintf(&b, `{"event_id":"$%043d","sender":"@user%d:example.org","origin_server_ts":%d,`, number, number%50, 1_700_000_000_000+int64(number))
			switch i {
			case 0, 5:
				fmt.Fprintf(&b, `"type":"m.room.member","state_key":"@user%d:example.org","content":{"membership":"join","displayname":"User %d","avatar_url":"mxc://example.org/%d"}}`, number%50, number, number)
			case 3:
				fmt.Fprintf(&b, `"type":"m.room.topic","state_key":"","content":{"topic":"Topic %d"}}`, number)
			case 7:
				fmt.Fprintf(&b, `"type":"m.room.power_levels","state_key":"","content":{"users":{"@user%d:example.org":100},"users_default":%d}}`, number%50, n%50)
			default:
				fmt.Fprintf(&b, `"type":"m.room.message","content":{"msgtype":"m.text","body":"Message number %d"}}`, number)
			}
		}
		b.WriteString(`]}}`)
	}
	b.WriteString(`}}}`)
	return []byte(b.String())
}

// BenchmarkStateSync processes sync responses of 100 rooms × 10 events, from their JSON on. mautrix's own store has
// no place for the token: it is kept in memory, and what is stored of a response is many transactions.
func BenchmarkStateSync(b *testing.B) {
	onEngines(b, func(b *testing.B, engine sqlite.Engine) {
		our, their := ours(b, engine), theirs(b, engine)
		ourSyncer := mautrixstate.NewSyncer(our, mautrixstate.SyncerOptions{})
		ourSyncer.OnEvent((&mautrix.Client{StateStore: our}).StateStoreSyncHandler)
		theirSyncer := mautrix.NewDefaultSyncer()
		theirSyncer.OnEvent((&mautrix.Client{StateStore: their}).StateStoreSyncHandler)

		syncs := func(tokens mautrix.SyncStore, syncer mautrix.Syncer) side {
			at := 0
			return func(n int) error {
				for range n {
					var resp mautrix.RespSync
					if err := json.Unmarshal(body(at+1), &resp); err != nil {
						return err
					}
					if err := tokens.SaveNextBatch(ctx, me, resp.NextBatch); err != nil {
						return err
					}
					if err := syncer.ProcessResponse(ctx, &resp, fmt.Sprintf("s%d", at)); err != nil {
						return err
					}
					at++
				}
				return nil
			}
		}
		versus(b, 1, syncs(our, ourSyncer), syncs(mautrix.NewMemorySyncStore(), theirSyncer))
		for name, s := range map[string]mautrix.StateStore{"ours": our, "theirs": their} {
			levels, err := s.GetPowerLevels(ctx, "!room7:example.org")
			must(b, err)
			m, err := s.GetMember(ctx, "!room7:example.org", user(75%50))
			must(b, err)
			if levels == nil || m.Membership != event.MembershipJoin {
				b.Errorf("%s has not stored what was synced", name)
			}
		}
	})
}
