package statetest

// Where cases come from: every row of these tables has a case at least.

import "fmt"

// seedTests are the tests of matrix-rust-sdk's state stores that run against any of them, in its order.
var seedTests = []string{
	"test_topic_redaction",
	"test_populate_store",
	"test_member_saving",
	"test_filter_saving",
	"test_user_avatar_url_saving",
	"test_supported_versions_saving",
	"test_well_known_saving",
	"test_sync_token_saving",
	"test_utd_hook_manager_data_saving",
	"test_one_time_key_already_uploaded_data_saving",
	"test_stripped_member_saving",
	"test_power_level_saving",
	"test_receipts_saving",
	"test_custom_storage",
	"test_stripped_non_stripped",
	"test_room_removal",
	"test_profile_removal",
	"test_presence_saving",
	"test_display_names_saving",
	"test_send_queue",
	"test_send_queue_priority",
	"test_send_queue_dependents",
	"test_update_send_queue_dependent",
	"test_get_room_infos",
	"test_thread_subscriptions",
	"test_thread_subscriptions_bulk_upsert",
	"test_global_profiles_saving",
	"test_global_profiles_bulk_loading",
}

// guardTests are those of the lock around its saving. Here it is in the store.
var guardTests = []string{
	"test_save_changes_only_accepts_guard_for_underlying_mutex",
	"test_remove_room_only_accepts_guard_for_underlying_mutex",
	"test_state_store_waits_to_acquire_lock_before_saving_changes",
	"test_state_store_waits_to_acquire_lock_before_removing_room",
}

// methods is how many it has, from ST-01 on.
const methods = 44

// fields are those of its changes.
var fields = []string{
	"sync_token", "account_data", "room_account_data", "presence", "room_infos", "profiles_to_delete", "state", "profiles", "stripped_state",
	"receipts", "redactions", "ambiguity_maps", "global_profiles",
}

// keys are its typed values.
var keys = []string{
	"SyncToken", "SupportedVersions", "WellKnown", "Filter", "UserAvatarUrl", "RecentlyVisitedRooms", "UtdHookManagerData",
	"OneTimeKeyAlreadyUploaded", "ComposerDraft", "SeenKnockRequests", "ThreadSubscriptionsCatchupTokens", "HomeserverCapabilities",
}

// gaps are what it has no test for.
var gaps = []string{
	"remove_custom_value",
	"previous value of set_custom_value",
	"set_custom_value_no_read",
	"Dropped profile update",
	"removal of display names",
	"raw+normalised merge",
	"thread subscriptions in remove_room",
	"six kv keys",
	"> 16383 keys",
	"duplicate transaction id",
	"receipts of a concrete thread root",
	"get_state_events with mixed kinds",
	"rollback on failing redaction",
	"optimize",
	"get_size",
	"persistence across reopen for everything but custom values",
}

// divergences are where its two stores disagree.
var divergences = []struct{ row, decision string }{
	{"DIV-01", "a profile is written with a member event in the same change, and without"},
	{"DIV-02", "an invite removes the state that is not stripped, any other state of the room the stripped one, as does a state event"},
	{"DIV-03", "no users for a name remove the entry"},
	{"DIV-04", "a store in memory goes on while it is paused, unless it is strict; Close ends it"},
	{"DIV-05", "a second request with the same room and transaction id is refused"},
	{"DIV-06", "asking about a room creates nothing"},
}

// defects are those of mautrix's own stores, as far as they are about the state and the sync.
var defects = []struct{ row, here string }{
	{"mautrix/1", "the first LoadNextBatch after the start returns what is stored"},
	{"mautrix/2", "a token that could not be stored is not returned"},
	{"mautrix/3", "a token and the id of a filter are stored, whatever else there is"},
	{"mautrix/4", "tokens may be saved and loaded from several goroutines"},
	{"mautrix/5", "a method without an error waits, then answers what was known, then false, and tells the observer"},
	{"mautrix/9", "join rules can be set in a store that has none"},
	{"mautrix/10 members", "joined or invited members are just that"},
	{"mautrix/10 clear", "clearing without memberships clears all"},
	{"mautrix/10 shared", "shared rooms are the encrypted ones"},
}

// badInputs are what a store has to answer with a typed error or a defined answer, and unchanged.
var badInputs = []string{"ids in every script", "SQL in ids", "NUL in ids", "ids that are not UTF-8", "empty ids", "events that are no JSON", "unknown kinds", "cursors from elsewhere", "names that look alike"}

// seed names one of the tests by its number, from 1.
func seed(n int) string { return fmt.Sprintf("4.6/%d %s", n, seedTests[n-1]) }

func guard(n int) string { return "4.7/" + guardTests[n-1] }

func method(n int) string { return fmt.Sprintf("ST-%02d", n) }

func from(rows ...string) []string { return rows }

// origins lists every row, in the form in which cases name it.
func origins() (all []string) {
	for i := range seedTests {
		all = append(all, seed(i+1))
	}
	for i := range guardTests {
		all = append(all, guard(i+1))
	}
	for i := range methods {
		all = append(all, method(i+1))
	}
	for prefix, rows := range map[string][]string{"4.2/": fields, "4.3/": keys, "GAP-ST/": gaps, "bad input/": badInputs} {
		for _, row := range rows {
			all = append(all, prefix+row)
		}
	}
	for _, d := range divergences {
		all = append(all, d.row)
	}
	for _, d := range defects {
		all = append(all, d.row)
	}
	return append(all, "typed readers")
}
