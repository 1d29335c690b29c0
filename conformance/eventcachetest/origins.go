package eventcachetest

// Where cases come from: every row of these tables has a case at least, and
// docs/conformance-matrix.md says which.

import "fmt"

// seedTests are the tests of matrix-rust-sdk's event cache stores, in its order.
var seedTests = []string{
	"test_handle_updates_and_rebuild_linked_chunk",
	"test_linked_chunk_exists_before_referenced",
	"test_linked_chunk_allow_same_event_in_room_and_thread",
	"test_load_last_chunk",
	"test_load_last_chunk_with_a_cycle",
	"test_load_previous_chunk",
	"test_linked_chunk_incremental_loading",
	"test_linked_chunk_remove_chunk",
	"test_linked_chunk_replace_item",
	"test_linked_chunk_remove_item",
	"test_linked_chunk_detach_last_items",
	"test_linked_chunk_start_end_reattach_items",
	"test_linked_chunk_clear",
	"test_linked_chunk_clear_and_reinsert",
	"test_rebuild_empty_linked_chunk",
	"test_linked_chunk_multiple_rooms",
	"test_load_all_chunks_metadata",
	"test_remember_thread",
	"test_clear_all_events",
	"test_clear_all_events_for_specific_room",
	"test_filter_duplicated_events",
	"test_filter_duplicate_events_no_events",
	"test_find_event",
	"test_find_event_when_event_in_room_and_thread",
	"test_find_event_relations",
	"test_find_event_relations_when_event_in_room_and_thread",
	"test_get_room_events",
	"test_get_room_events_filtered",
	"test_get_room_events_with_event_in_room_and_thread",
	"test_save_event",
	"test_save_event_updates_event_in_room_and_thread",
	"test_thread_vs_room_linked_chunk",
	"test_lease_locks",
}

// extraTests are what matrix-rust-sdk tests of its SQLite store, of its
// relational structure and of its names alone, as far as it is a promise of every store.
var extraTests = []string{
	"cascade of a removed chunk",
	"cascade of a clear",
	"positions after a removed item",
	"test_linked_chunk_update_is_a_transaction",
	"test_encryption_encode_decode_thread_id_roundtrip",
	"test_no_sqlite_injection_in_find_event_relations",
	"the relational structure",
	"equality of linked chunk ids",
}

// gaps are what matrix-rust-sdk has no test for.
var gaps = []string{
	"empty filter slice",
	"replace in a second room (DIV-22)",
	"duplicates after clear/remove (DIV-23)",
	"same id in two rooms",
	"items without id/type",
	"remove of unknown position",
	"> 16383 ids",
	"get_size",
	"optimize",
	"event-focused ids",
	"atomicity for memory",
}

// divergences are where its two stores disagree, with what was decided here.
var divergences = []struct{ row, decision string }{
	{"DIV-20", "relation types: nil is all, an empty slice is none"},
	{"DIV-21", "an event needs an id to be stored; its type may be unknown"},
	{"DIV-22", "an item is replaced in the linked chunk that was named, and in no other"},
	{"DIV-23", "positions are those of this moment"},
	{"DIV-24", "an event is known by its room and its id"},
	{"DIV-25", "an event that was only saved is in no linked chunk"},
}

// badInputs are what a store has to answer with a typed error or a defined answer, and unchanged.
var badInputs = []string{
	"oversized ids",
	"empty ids",
	"binary ids",
	"SQL in ids",
	"events that are no JSON",
	"unknown chunks",
	"wrong rooms",
	"cycles",
	"clock jumps",
}

// seed names tests of matrix-rust-sdk by their numbers, from 1.
func seed(numbers ...int) []string {
	var all []string
	for _, n := range numbers {
		all = append(all, fmt.Sprintf("6.5/%d %s", n, seedTests[n-1]))
	}
	return all
}

func from(more ...string) []string { return more }

// rows lists every row, in the form in which cases name it.
func rows() []string {
	var all []string
	for i := range seedTests {
		all = append(all, seed(i+1)...)
	}
	for _, t := range extraTests {
		all = append(all, "6.5/"+t)
	}
	for _, g := range gaps {
		all = append(all, "GAP-EC/"+g)
	}
	for _, d := range divergences {
		all = append(all, d.row)
	}
	for _, b := range badInputs {
		all = append(all, "bad input/"+b)
	}
	return all
}
