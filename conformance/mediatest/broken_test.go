package mediatest

import (
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/quiesce-go/quiesce/conformance/internal/trial"
)

// faults are what proves that the suite finds faults: each is the reference with
// one thing wrong (see the uses of each name in reference_test.go and gate_test.go),
// and the case that is meant to find that.
var faults = []struct {
	name   string
	by     string
	strict bool // it is one of the reference with a gate and a file
}{
	{"removes all formats", "contents", false},
	{"stores nothing that is empty", "sizes", false},
	{"keeps the data that it was given", "data-belong-to-the-caller", false},
	{"keeps the flag of what was replaced", "replacing", false},
	{"keeps what is stale", "nothing-stale", false},
	{"counts pixels in a machine word", "by-uri", false},
	{"fails for unknown names", "unknown-names", false},
	{"makes what it is asked for", "asking-creates-nothing", false},
	{"is a ring of twenty", "nothing-is-evicted", false},
	{"takes no room", "size-and-compact", false},

	{"checks one name of two", "requests-that-name-nothing", false},
	{"writes URIs in lower case", "strange-uris", false},
	{"cuts long URIs off", "huge-uris", false},
	{"runs what is in a URI", "sql-in-uris", false},
	{"joins URI and format", "names-that-look-alike", false},
	{"takes all thumbnails for one", "names-that-look-alike", false},

	{"loses the flag at Rename", "rename", false},
	{"loses the last access at Rename", "rename", false},
	{"leaves two at Rename", "rename", false},
	{"renames onto nothing else", "rename-over", false},
	{"removes what is renamed to itself", "rename-to-itself", false},
	{"renames what goes on ignoring the policy", "sent-upload", false},

	{"limits nothing by default", "default-policy", false},
	{"cleans at SetPolicy", "set-policy", false},
	{"takes any policy", "policies-that-cannot-be", false},
	{"takes a limit of 0 for none", "limits-at-the-edges", false},
	{"forgets the policy when it is closed", "policy-survives-pauses", true},
	{"forgets the policy when it is closed", "policy-survives-reopening", true},
	{"reads nothing again at Resume", "policy-of-another-process", true},

	{"seeks before the beginning", "a-reader-is-a-reader", false},
	{"seeks one byte beside", "any-reads-and-seeks", false},
	{"has one position for all Readers", "many-readers", false},
	{"reads on what has come in its place", "gone", false},
	{"reads on in what was removed", "gone", false},
	{"takes what is renamed for another one", "not-gone", false},
	{"reads on after Close", "closed-reader", false},
	{"is held by open Readers", "reader-across-pauses", true},
	{"reads while it is paused", "reader-across-pauses", true},

	{"shows what is not committed", "visible-by-commit", false},
	{"takes Create for the last access", "visible-by-commit", false},
	{"keeps what was not committed", "not-committed", false},
	{"keeps what is stale after a stream", "too-large-a-stream", false},
	{"goes by the policy of Create", "policy-changes-while-writing", false},
	{"lets the first Commit win", "last-commit-wins", false},
	{"writes on after Commit", "closed-writer", false},
	{"ignores the context of a Writer", "context-of-a-writer", false},
	{"forgets in a pause what was written", "writer-across-pauses", true},
	{"cannot close a Writer while paused", "writer-across-pauses", true},
	{"ends streams in a pause", "streams-across-a-pause-that-changes-nothing", false},

	{"takes Info for reading", "last-access", false},
	{"touches all formats of a URI", "touches-one", false},
	{"forgets last accesses in a pause", "last-access-survives", true},
	{"does not know of reads when it cleans", "reads-count-for-cleaning", false},

	{"lets things expire late", "expiry", false},
	{"cleans what ignores the policy", "expiry-ignored", false},
	{"takes its opening for a cleaning", "last-cleaning", false},
	{"notes a time where nothing is limited", "last-cleaning", false},
	{"notes no time where nothing was removed", "last-cleaning", false},
	{"takes the larger limit", "largest-file", false},
	{"keeps what was read first", "largest-cache", false},
	{"counts what ignores the policy", "limits-ignored", false},
	{"keeps an older one that still fits", "first-that-does-not-fit", false},
	{"cleans in another order", "order-of-cleaning", false},
	{"takes the first stored for the newest", "same-millisecond", false},
	{"keeps seconds", "milliseconds", false},
	{"tells local times", "milliseconds", false},
	{"lets the future expire", "clock-jumps", false},
	{"removes no more than 64", "many-to-clean", false},
	{"counts for two cleanings at once", "two-cleanings", false},
	{"notes the time of what was cut off", "cleaning-and-pauses", true},

	{"cleans by itself all the time", "cleans-by-itself", false},
	{"takes its opening for a cleaning", "cleans-by-itself", false},
	{"never cleans by itself", "cleans-by-default", false},
	{"needs no frequency", "never-by-itself", false},
	{"takes reading for no opportunity", "every-opportunity", false},
	{"forgets a Clean that was asked for", "clean-counts-for-the-frequency", false},
	{"waits not for the past", "frequency-and-clock-jumps", false},
	{"tells of a cleaning that was cut off", "pause-during-its-own-cleaning", true},

	{"counts every taking", "leases", false},
	{"has leases in lower case", "leases-are-independent", false},
	{"takes a lease in two steps", "one-holder-at-a-time", false},
	{"forgets leases in a pause", "leases-survive", true},

	{"forgets flags in a pause", "contents-survive-pauses", true},
	{"forgets in which order things were stored", "contents-survive-reopening", true},
	{"reads while it is paused", "refused-while-paused", true},
	{"never waits", "waits-for-resume", true},
	{"loses all in a pause", "a-pause-that-changes-nothing", false},
	{"goes on after Close", "closed-for-good", false},
	{"ignores contexts", "contexts-that-have-ended", false},

	{"keeps the flag of what a Commit replaces", "any-operations", false},
	{"stores the first half first", "readers-beside-writers", false},
	{"renames in two steps", "names-change-in-one-step", false},
	{"loses one of two that come at once", "all-at-once", false},

	{"says that it has done what was cut off", "pauses-at-any-moment", true},
	{"forgets in a pause what was written", "waiting-through-pauses", true},
	{"does what was cut off all the same", "an-interrupted-change", true},
	{"stores clear text", "nothing-in-clear", true},
	{"makes a file that nobody knows of", "files-are-named", true},
}

// byChance are the cases that find a fault only where they happen upon it: they are run until they have.
var byChance = []string{
	"any-reads-and-seeks", "two-cleanings", "cleaning-and-pauses", "pause-during-its-own-cleaning", "one-holder-at-a-time", "any-operations",
	"readers-beside-writers", "names-change-in-one-step", "all-at-once", "pauses-at-any-moment", "waiting-through-pauses", "an-interrupted-change",
}

// slow are the cases that wait in a fault's place for what never comes: they need not wait for long.
var slow = []string{"every-opportunity", "cleans-by-itself", "cleans-by-default", "writer-across-pauses"}

// patience is for how long a fault is looked for that is found by chance. It is found in a moment; but the machine may be busy.
const patience = time.Minute

// TestEveryFaultIsFound: each fault is found by the case that is meant for it, and every case finds one.
func TestEveryFaultIsFound(t *testing.T) {
	if testing.Short() {
		t.Skip("takes some seconds, many of them waiting for what never comes")
	}
	var mu sync.Mutex
	found := map[string][]string{}
	t.Run("fault", func(t *testing.T) {
		for _, f := range faults {
			t.Run(strings.ReplaceAll(f.name, " ", "-")+"/"+f.by, func(t *testing.T) {
				t.Parallel() // some wait for what never comes
				i := slices.IndexFunc(cases, func(c Case) bool { return c.Name == f.by })
				if i < 0 {
					t.Fatalf("there is no case %q", f.by)
				}
				newHarness := openHarness
				if f.strict {
					newHarness = strictHarness
				}
				if h := newHarness(f.name); !cases[i].fits(h) || h.lacks(cases[i].Needs) != "" {
					t.Fatalf("the case %q is not meant for this reference", f.by)
				}
				within := time.Duration(0)
				if slices.Contains(byChance, f.by) {
					within = patience
				}
				r := trial.Search(within, func() *trial.Result {
					h := newHarness(f.name)
					h.Limit = 12 * time.Second
					if slices.Contains(slow, f.by) {
						h.Limit = 4 * time.Second
					}
					return runCase(t.Context(), &cases[i], h, t.TempDir)
				})
				if !r.Found() {
					t.Fatalf("a store that %s was not found out by the case %q (findings: %v, notes: %q)", f.name, f.by, r.Findings, r.Notes)
				}
				t.Log(r.Findings[0].Error())
				mu.Lock()
				defer mu.Unlock()
				found[f.by] = append(found[f.by], f.name)
			})
		}
	})
	for _, cs := range cases {
		if len(found[cs.Name]) > 0 {
			t.Logf("%-45s found the store that %s", cs.Name, strings.Join(found[cs.Name], "; and the one that "))
		}
		if !slices.ContainsFunc(faults, func(f struct {
			name, by string
			strict   bool
		}) bool {
			return f.by == cs.Name
		}) {
			t.Errorf("no fault proves that the case %q finds anything", cs.Name)
		}
	}
}
