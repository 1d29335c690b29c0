package conformance_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/quiesce-go/quiesce/conformance"
)

// What the suite has to cover. Every row must have a case, and every case a row.

// seedTests are the 44 tests of matrix-rust-sdk, by the stores that have each.
var seedTests = []struct{ name, stores string }{
	{"test_close_completes_without_timeout", "SCEM"},
	{"test_reopen_restores_connections", "SCEM"},
	{"test_close_is_idempotent", "SCEM"},
	{"test_reopen_is_idempotent", "SCEM"},
	{"test_read_fails_when_closed", "SCEM"},
	{"test_write_fails_when_closed", "SEM"},
	{"test_data_persists_across_close_reopen", "SEM"},
	{"test_multiple_close_reopen_cycles", "SCEM"},
	{"test_pool_is_fully_drained_after_close", "SCEM"},
	{"test_operations_work_immediately_after_reopen", "SEM"},
	{"test_operations_work_after_reopen", "C"},
	{"test_close_waits_for_held_read_connection_to_drain", "SCEM"},
}

var clientTests = []string{"test_client_pause_resume_with_sqlite_store", "test_client_pause_waits_for_held_state_store_write"}

// gaps are what matrix-rust-sdk has no test for.
var gaps = []string{
	"drain timeout", "writer queue at close", "cancellation of close", "concurrent close/reopen", "reopen failure", "encrypted close/reopen",
	"memory stores after close", "descriptors really closed", "WAL truncated", "checkpoint with open snapshot", "second process holding the file",
	"pragma values after reopen", "send-queue state after resume", "pause while sync runs", "crypto write when closed", "crypto data persistence",
}

// ideas are tests of other projects, and what these projects should have tested.
var ideas = []string{
	"In-flight read held over pause", "in-flight write", "writer queued behind writer", "acquire blocked when pool is exhausted",
	"Stepped but unreset rows", "leaked rows", "leaked tx",
	"Pause while constructing", "pause while opening/migrating", "resume while draining", "pause-resume-pause storms", "100 concurrent pausers all return",
	"Failing member in a group", "panic in a member",
	"File deleted", "replaced", "made read-only", "schema newer", "directory gone at resume", "disk full at checkpoint",
	"Kill -9 between each step", "integrity_check",
	"Checkpoint row with foreign-process reader",
	"fds and locks zero after pause", "lock probe from a child process", "second process can take EXCLUSIVE while paused",
	"Close while paused", "pause after close", "waiters released on close",
	"Waiting policy honours ctx", "no lost wake-up", "fairness",
	"Lease: sibling accesses", "re-pause at zero", "expired lease", "stale expiry must not re-pause",
}

// wanted lists every row, in the form in which cases name it.
func wanted() []string {
	var all []string
	for _, s := range seedTests {
		for _, store := range s.stores {
			all = append(all, string(store)+"/"+s.name)
		}
	}
	for _, name := range clientTests {
		all = append(all, "client/"+name)
	}
	for _, g := range gaps {
		all = append(all, "GAP-L "+g)
	}
	for _, i := range ideas {
		all = append(all, "I "+i)
	}
	return all
}

func allCases() []conformance.Case {
	return append(conformance.Cases(), conformance.GroupCases()...)
}

// byOrigin maps every row to its cases.
func byOrigin() map[string][]string {
	m := map[string][]string{}
	for _, c := range allCases() {
		for _, o := range c.Origins {
			m[o] = append(m[o], c.Name)
		}
	}
	return m
}

func TestEveryRowHasACase(t *testing.T) {
	rows, have := wanted(), byOrigin()
	seed := 0
	known := map[string]bool{}
	for _, row := range rows {
		known[row] = true
		if strings.Contains(row, "/test_") {
			seed++
		}
		if len(have[row]) == 0 {
			t.Errorf("no case for %q", row)
		}
	}
	if seed != 44 {
		t.Errorf("there are %d tests of the seed; it has 44", seed)
	}
	for row := range have {
		if listed := strings.Contains(row, "/test_") || strings.HasPrefix(row, "GAP-L") || strings.HasPrefix(row, "I "); listed && !known[row] {
			t.Errorf("cases %v name a row that there is not: %q", have[row], row)
		}
	}
}

func TestEveryCaseSaysWhatItIsFor(t *testing.T) {
	seen := map[string]bool{}
	for _, c := range allCases() {
		if c.Name == "" || c.Promise == "" || c.Harm == "" || len(c.Origins) == 0 {
			t.Errorf("a case lacks its name, promise, harm or origin: %+v", c)
		}
		if seen[c.Name] {
			t.Errorf("two cases are named %q", c.Name)
		}
		seen[c.Name] = true
		for _, text := range []string{c.Promise, c.Harm} {
			if strings.HasSuffix(text, ".") || strings.ContainsAny(text, "|\n") {
				t.Errorf("%s: %q does not fit into a table", c.Name, text)
			}
		}
	}
}

// tables writes what docs/conformance.md says of the cases.
func tables() string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	kind := func(c conformance.Case) string {
		var needs []string
		for _, n := range c.Needs {
			needs = append(needs, string(n))
		}
		switch {
		case c.For != "":
			return "core, without " + string(c.For)
		case len(needs) == 0:
			return "core"
		case c.Core():
			return "core: " + strings.Join(needs, ", ")
		}
		return strings.Join(needs, ", ")
	}
	// The names of a seed test's stores are drawn together.
	origin := func(c conformance.Case) string {
		var out []string
		stores := map[string]string{}
		for _, o := range c.Origins {
			if store, test, ok := strings.Cut(o, "/test_"); ok {
				if stores[test] == "" {
					out = append(out, "\x00"+test)
				}
				stores[test] += store
				continue
			}
			out = append(out, o)
		}
		for i, o := range out {
			if test, ok := strings.CutPrefix(o, "\x00"); ok {
				out[i] = stores[test] + " `test_" + test + "`"
			}
		}
		return strings.Join(out, "; ")
	}
	line("### Stores: Run and Check\n")
	line("| case | promise | when it is broken | for stores with | origin |\n|---|---|---|---|---|")
	for _, c := range conformance.Cases() {
		children := ""
		if c.Children {
			children = " ⑂"
		}
		line("| `%s`%s | %s | %s | %s | %s |", c.Name, children, c.Promise, c.Harm, kind(c), origin(c))
	}
	line("\n### Compositions: RunGroup\n")
	line("| case | promise | when it is broken | origin |\n|---|---|---|---|")
	for _, c := range conformance.GroupCases() {
		line("| `%s` | %s | %s | %s |", c.Name, c.Promise, c.Harm, origin(c))
	}
	have := byOrigin()
	quoted := func(row string) string { return "`" + strings.Join(have[row], "`, `") + "`" }
	line("\n### The 44 tests of matrix-rust-sdk\n")
	line("| test | in the stores | cases |\n|---|---|---|")
	for _, s := range seedTests {
		line("| `%s` | %s | %s |", s.name, strings.Join(strings.Split(s.stores, ""), " "), quoted(s.stores[:1]+"/"+s.name))
	}
	for _, name := range clientTests {
		line("| `%s` | client | %s |", name, quoted("client/"+name))
	}
	line("\n### What it has no test for (GAP-L)\n")
	line("| gap | cases |\n|---|---|")
	for _, g := range gaps {
		line("| %s | %s |", g, quoted("GAP-L "+g))
	}
	line("\n### Ideas of other projects (I)\n")
	line("| idea | cases |\n|---|---|")
	for _, i := range ideas {
		line("| %s | %s |", i, quoted("I "+i))
	}
	return b.String()
}
