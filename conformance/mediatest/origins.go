package mediatest

// Where cases come from: every row of these tables has a case at least, and
// docs/conformance-matrix.md says which.

import "fmt"

// seedTests are the tests of matrix-rust-sdk's media stores that run against any of them, in its order.
var seedTests = []string{
	"test_store_media_retention_policy",
	"test_media_expiry",
	"test_media_ignore_expiry",
	"test_store_last_media_cleanup_time",
	"test_media_max_file_size",
	"test_media_max_cache_size",
	"test_media_ignore_max_size",
	"test_media_content",
	"test_replace_media_key",
	"test_lease_locks",
}

// extraTests are what matrix-rust-sdk tests of its SQLite store, of its policies and of the
// service above its stores alone, as far as it is a promise of every store.
var extraTests = []string{
	"test_pool_size",
	"test_last_access",
	"policy: has_limitations",
	"policy: max_cache_size",
	"policy: max_file_size",
	"policy: has_content_expired",
	"policy: cleanup_frequency",
	"service: empty policy",
	"service: non-empty policy",
	"service: automatic cleanup",
}

// rules are its methods, and what they have to do.
var rules = []struct{ row, rule string }{
	{"ME-01", "lease locks"},
	{"ME-02", "adding; what is too large is not stored"},
	{"ME-03", "replacing a key"},
	{"ME-04", "getting a content"},
	{"ME-05", "removing a content"},
	{"ME-06", "getting a content of a URI"},
	{"ME-07", "removing all contents of a URI"},
	{"ME-08", "setting the policy"},
	{"ME-09", "the policy in force"},
	{"ME-10", "setting the flag to ignore the policy"},
	{"ME-11", "cleaning: one at a time, and only where something is limited"},
	{"ME-12", "close"},
	{"ME-13", "reopen"},
	{"ME-14", "optimize"},
	{"ME-15", "size"},
	{"ME-20", "the policy that is stored"},
	{"ME-21", "storing a policy"},
	{"ME-22", "adding, inside: what is replaced, and by what"},
	{"ME-23", "the flag, inside"},
	{"ME-24", "getting, inside: the last access"},
	{"ME-25", "getting by URI, inside"},
	{"ME-26", "the steps of cleaning, in their order"},
	{"ME-27", "the time of the last cleaning"},
	{"ME-30", "the default policy, and the one in force where none was set"},
	{"ME-31", "what is a limit"},
	{"ME-32", "the smaller one of two limits"},
	{"ME-33", "larger than a limit, strictly"},
	{"ME-34", "expired; the future is not"},
	{"ME-35", "a cleaning that is due; the future has none"},
	{"ME-36", "setters of a policy"},
	{"ME-40", "the state of the service: one cleaning at a time"},
	{"ME-41", "what is restored at an opening"},
	{"ME-42", "when a store cleans by itself"},
	{"ME-43", "the end of a cleaning in the background"},
}

// gaps are what matrix-rust-sdk has no test for.
var gaps = []string{
	"size rules on SQLite and memory",
	"replace onto an existing key",
	"oversize replacement",
	"get_size",
	"policy after restart/reopen",
	"ring eviction of ignored rows",
	"two concurrent cleanups",
	"cleanup during close",
	"failing VACUUM",
	"unknown-key set_ignore and remove",
}

// divergences are where its two stores disagree, with what was decided here.
var divergences = []struct{ row, decision string }{
	{"DIV-30", "a content that gets the name of another one replaces it"},
	{"DIV-31", "a read by URI touches the content that it returned"},
	{"DIV-32", "a content that is refused for its size leaves nothing stale under its name; sizes are those of the contents"},
	{"DIV-33", "nothing that ignores the policy is ever evicted"},
	{"DIV-34", "times are kept in milliseconds"},
	{"DIV-35", "the last cleaning is unknown until there was one"},
}

// observations are what was seen of it besides, with what holds here.
var observations = []struct{ row, here string }{
	{"OBS-30", "policy and last cleaning are read anew at every Resume"},
	{"OBS-31", "the limits count what was given, not what is stored of it"},
	{"OBS-32", "reading writes nothing; when something was read is known all the same"},
	{"OBS-33", "cleaning costs what it removes; here it is checked that it is right for many, and the speed is Bench's"},
	{"OBS-34", "a pause waits for no cleaning and no stream, and loses nothing of them"},
	{"OBS-35", "contents can be streams, of which only a piece is in memory"},
}

// badInputs are what a store has to answer with a typed error or a defined answer, and unchanged.
var badInputs = []string{
	"oversized ids",
	"empty ids",
	"binary ids",
	"SQL in ids",
	"formats that look alike",
	"empty contents",
	"sizes that overflow",
	"negative limits",
	"clock jumps",
}

// seed names one of the tests by its number, from 1.
func seed(n int) string { return fmt.Sprintf("7.7/%d %s", n, seedTests[n-1]) }

func from(rows ...string) []string { return rows }

// rows lists every row, in the form in which cases name it.
func rows() []string {
	var all []string
	for i := range seedTests {
		all = append(all, seed(i+1))
	}
	for _, test := range extraTests {
		all = append(all, "7.7/"+test)
	}
	for _, r := range rules {
		all = append(all, r.row)
	}
	for _, gap := range gaps {
		all = append(all, "GAP-ME/"+gap)
	}
	for _, d := range divergences {
		all = append(all, d.row)
	}
	for _, o := range observations {
		all = append(all, o.row)
	}
	for _, input := range badInputs {
		all = append(all, "bad input/"+input)
	}
	return all
}
