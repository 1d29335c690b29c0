package cryptotest

// Where cases come from: every row of these tables has a case at least.

import "fmt"

// seedTests are the tests of matrix-rust-sdk's crypto stores that run against any of them, in its order.
var seedTests = []string{
	"test_save_account_via_generic_save",
	"test_save_account",
	"test_load_account",
	"test_load_account_with_passphrase",
	"test_save_and_share_account",
	"test_load_sessions",
	"test_add_and_save_session",
	"test_load_outbound_group_session",
	"test_save_changes_save_inbound_group_session",
	"test_save_inbound_group_session_from_backup",
	"test_save_inbound_group_session_from_old_backup",
	"test_save_inbound_group_session_from_import",
	"test_mark_inbound_group_sessions_as_backed_up",
	"test_reset_inbound_group_session_for_backup",
	"test_load_inbound_group_session",
	"test_get_inbound_group_sessions_by_room_id_empty",
	"test_get_inbound_group_sessions_by_room_id",
	"test_fetch_inbound_group_sessions_for_device",
	"test_tracked_users",
	"test_device_saving",
	"test_device_deleting",
	"test_user_saving",
	"test_private_identity_saving",
	"test_olm_hash_saving",
	"test_key_request_saving",
	"test_secret_request_replacement",
	"test_gossipped_secret_saving",
	"test_pushed_secret_saving",
	"test_withheld_info_storage",
	"test_room_settings_saving",
	"test_backup_keys_saving",
	"test_dehydration_pickle_key_saving",
	"test_delete_dehydration_pickle_key",
	"test_custom_value_saving",
	"test_received_room_key_bundle",
	"test_room_pending_key_bundle",
	"test_set_has_downloaded_all_room_keys",
	"test_lease_locks",
}

// methods is how many it has, from CR-01 on.
const methods = 46

// gaps are what it has no test for.
var gaps = []string{
	"remove_custom_value",
	"next_batch_token",
	"has_downloaded for unknown room",
	"get_size",
	"chunking > 16383",
	"AccountUnset paths",
	"custom key collision",
	"save_tracked_users atomicity",
	"MEM bugs DIV-10/12",
	"duplicate secrets when encrypted",
	"write when closed",
	"data across close/reopen",
}

// divergences are where its two stores disagree.
var divergences = []string{"DIV-10", "DIV-11", "DIV-12", "DIV-13", "DIV-14"}

// observations are what was seen of it besides, as far as a case can tell. That every query has
// an index (OBS-11) is for a store's own tests.
var observations = []string{"OBS-10"}

// badInputs are what a store has to answer with a typed error or a defined answer, and unchanged.
var badInputs = []string{"binary ids", "oversized ids", "SQL in ids", "empty ids", "large records"}

// seed names one of the tests by its number, from 1.
func seed(n int) string { return fmt.Sprintf("5.3/%d %s", n, seedTests[n-1]) }

func from(rows ...string) []string { return rows }

// origins lists every row, in the form in which cases name it.
func origins() (all []string) {
	for i := range seedTests {
		all = append(all, seed(i+1))
	}
	for i := range methods {
		all = append(all, fmt.Sprintf("CR-%02d", i+1))
	}
	for _, gap := range gaps {
		all = append(all, "GAP-CR/"+gap)
	}
	all = append(append(all, divergences...), observations...)
	for _, input := range badInputs {
		all = append(all, "bad input/"+input)
	}
	return all
}
