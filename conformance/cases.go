package conformance

// Case is one promise and the check of it.
type Case struct {
	Name    string
	Promise string // what a store promises
	Harm    string // what it does to a user when the promise is broken

	// Origins say where the case comes from: tests of matrix-rust-sdk as
	// store/test (S state, C crypto, E event cache, M media), what has no test
	// there as GAP-L, its weaknesses as W-nn, ideas from other projects as I.
	Origins []string

	// Needs are capabilities; the case is left out where one is lacking. A case
	// that needs no more than Gate and Files belongs to the core.
	Needs []Capability

	// For, where set, is what a store has to lack for the case to be meant for it.
	For Capability

	// Children says that the case starts other processes.
	Children bool

	run     func(*probe)
	mounted func(*probe) // the half that runs in a child with a file system of its own
}

// Core tells whether the case may never be left out, for a store of its kind:
// one that refuses work while paused, one that lives in files.
func (c *Case) Core() bool {
	for _, need := range c.Needs {
		if need != Gate && need != Files {
			return false
		}
	}
	return true
}

// fits tells whether the case is meant for this kind of store.
func (c *Case) fits(h *Harness) bool {
	_, lacks := h.Without[c.For]
	return c.For == "" || lacks
}

// Cases returns all cases of Run and Check, in their order.
func Cases() []Case { return append([]Case(nil), cases...) }

// seed names the same test of several of matrix-rust-sdk's stores.
func seed(test, stores string, more ...string) []string {
	var all []string
	for _, s := range stores {
		all = append(all, string(s)+"/"+test)
	}
	return append(all, more...)
}

func origins(lists ...[]string) []string {
	var all []string
	for _, l := range lists {
		all = append(all, l...)
	}
	return all
}

func needs(c ...Capability) []Capability { return c }

const (
	harmKilled = "iOS ends an app that is suspended while it has a lock on a shared file (0xdead10cc), and a file that is deleted or moved while it is held is written to in vain"
	harmLost   = "the user loses what the app had said was saved"
	harmHang   = "the app hangs in the moment in which the system wants it to be quiet, and is killed for that"
	harmLate   = "something is still at work on a store that was declared released: what it writes may be lost, and what it holds gets the app killed"
	harmCode   = "a program cannot tell “try again after Resume” from a real failure, and shows an error, or drops what it should have kept"
	harmIntent = "the app is in the foreground with a store that refuses everything, or in the background with one that holds its files"
	harmWrong  = "the app shows and changes somebody else's data, or an empty store in the place of the user's, which looks like losing everything"
)

const promiseNothingHeld = "after Pause or Close returned nil, this process has no descriptor, no map and no lock on the store's files"

var cases = []Case{
	// The plain life.
	{
		Name:    "harness-is-sound",
		Promise: "what was written is read; a callback's error comes back and undoes its writes; Files names every file that the store makes; nothing is undeclared",
		Harm:    "nothing else that this suite says would mean anything",
		Origins: []string{"D"}, run: caseHarness,
	},
	{
		Name:    "pause-and-resume",
		Promise: "an idle store pauses and resumes in good time, and works right after that, through the same handle",
		Harm:    "the app cannot go to the background, or is dead when it comes back",
		Origins: origins(seed("test_close_completes_without_timeout", "SCEM"), seed("test_reopen_restores_connections", "SCEM"),
			seed("test_operations_work_immediately_after_reopen", "SEM"), seed("test_operations_work_after_reopen", "C")), run: caseIdle,
	},
	{
		Name:    "pause-is-idempotent",
		Promise: "pausing what is paused is nil and does nothing, any number of times; one Resume undoes them all",
		Harm:    harmHang + "; systems announce the same suspension more than once",
		Origins: seed("test_close_is_idempotent", "SCEM", "D"), run: casePauseTwice,
	},
	{
		Name:    "resume-is-idempotent",
		Promise: "resuming what runs is nil and does nothing, any number of times",
		Harm:    "an app that resumes to be on the safe side breaks a store that worked",
		Origins: seed("test_reopen_is_idempotent", "SCEM", "D"), run: caseResumeTwice,
	},
	{
		Name:    "refused-while-paused",
		Promise: "while paused, reads and writes fail at once with an error that matches lifecycle.ErrPaused, and change nothing",
		Harm:    harmCode,
		Origins: origins(seed("test_read_fails_when_closed", "SCEM"), seed("test_write_fails_when_closed", "SEM"), []string{"GAP-L crypto write when closed", "W-25"}),
		Needs:   needs(Gate), run: caseRefused,
	},
	{
		Name:    "data-survive-cycles",
		Promise: "what was acknowledged before a Pause, be it an instant before, is there after the Resume, over any number of cycles",
		Harm:    harmLost,
		Origins: origins(seed("test_data_persists_across_close_reopen", "SEM"), seed("test_multiple_close_reopen_cycles", "SCEM"), []string{"GAP-L crypto data persistence"}), run: caseCycles,
	},
	{
		Name:    "whole-cycle",
		Promise: "a write in flight is waited for and kept; then everything is refused; after Resume old and new values are there",
		Harm:    harmLost,
		Origins: []string{"client/test_client_pause_resume_with_sqlite_store", "client/test_client_pause_waits_for_held_state_store_write"},
		Needs:   needs(Gate), run: caseWholeCycle,
	},
	{
		Name:    "no-op-changes-nothing",
		Promise: "a store that has declared that its pause changes nothing keeps its data and goes on serving, and Close is for good all the same",
		Harm:    "an app's tests on memory stores fail, or pass, for reasons that have nothing to do with the app",
		Origins: []string{"GAP-L memory stores after close", "L-14"}, For: Gate, run: caseNoOp,
	},
	{
		Name:    "close-is-for-good",
		Promise: "Close releases everything, ten times over, also of a paused store; afterwards work and Resume return lifecycle.ErrClosed",
		Harm:    "a store that was given up comes back to life, or its shut-down fails the second time",
		Origins: []string{"I Close while paused", "I pause after close"}, run: caseClosed,
	},
	{
		Name:    "close-joins-a-pause",
		Promise: "a Close during a Pause waits for the same operations, and both return",
		Harm:    harmHang,
		Origins: []string{"I Close while paused"}, Needs: needs(Gate), run: caseClosePausing,
	},
	{
		Name:    "goroutines-gone",
		Promise: "a paused store has no goroutine left that it started",
		Harm:    "goroutines add up with every cycle, run in an app that should be quiet, and touch what was given back",
		Origins: []string{"W-18", "GAP-L pause while sync runs"}, Needs: needs(Gate), run: caseGoroutines,
	},
	{
		Name:    "typed-errors-through-every-layer",
		Promise: "through groups, Controllers and wrapping, errors match lifecycle's sentinels, and name the member",
		Harm:    harmCode,
		Origins: []string{"W-25"}, run: caseTypedErrors,
	},
	{
		Name:    "settings-on-every-connection",
		Promise: "every connection, not only the first, has its settings after every Resume",
		Harm:    "caches and limits are gone after the first suspension, and rules such as foreign keys silently stop being checked",
		Origins: []string{"GAP-L pragma values after reopen", "W-23"}, Needs: needs(Settings, Beside), run: caseSettings,
	},
	{
		Name:    "generation-grows",
		Promise: "every Resume that ends a pause raises the generation, and no other does",
		Harm:    "caches of an earlier life are taken for fresh",
		Origins: []string{"W-20", "W-14"}, Needs: needs(Gate, Generation), run: caseGeneration,
	},
	{
		Name:    "state-can-be-watched",
		Promise: "State tells where the store is; subscribers get the latest state, and one that does not read delays nobody",
		Harm:    "nobody can tell why the app refuses to work, or whether it is safe to suspend it",
		Origins: []string{"W-24"}, Needs: needs(Gate, State), run: caseState,
	},
	{
		Name:    "start-paused",
		Promise: "a store that starts paused opens nothing until the first Resume, which validates",
		Harm:    "an app that is started in the background takes files that it must not have",
		Origins: []string{"H4"}, Needs: needs(Gate, StartPaused), run: caseStartPaused,
	},
	{
		Name:    "hooks-run-once",
		Promise: "BeforeRelease runs once in every Pause and AfterReopen once in every Resume; an error of AfterReopen leaves the store paused, to be tried again",
		Harm:    "stale caches are served after a Resume, or a failed one leaves a store that is half open",
		Origins: []string{"GAP-L reopen failure", "W-20"}, Needs: needs(Gate, Hooks), run: caseHooks,
	},
	{
		Name:    "encrypted-cycle",
		Promise: "the content cannot be read in the files, neither before nor after a cycle, and can be read through the store",
		Harm:    "what the user was told is encrypted can be read on the disk",
		Origins: []string{"GAP-L encrypted close/reopen"}, Needs: needs(Files, Encryption), run: caseEncrypted,
	},
	{
		Name:    "report-says-what-happened",
		Promise: "Report tells how long the steps of the last Pause and Resume took, and claims no change where nobody has written",
		Harm:    "a slow suspension cannot be explained, and caches are thrown away for nothing",
		Origins: []string{"W-04", "W-24", "W-29"}, Needs: needs(Gate, Report), run: caseReport,
	},

	// Work in flight, and work that wants to be.
	{
		Name:    "waits-for-a-read",
		Promise: "a read in flight is let finish, and Pause returns after it",
		Harm:    "reads fail at every suspension, or what they hold gets the app killed",
		Origins: seed("test_close_waits_for_held_read_connection_to_drain", "SCEM", "I In-flight read held over pause"), Needs: needs(Gate), run: caseWaitsForRead,
	},
	{
		Name:    "waits-for-a-write",
		Promise: "a write in flight is let finish and kept, and Pause returns after it",
		Harm:    harmLost,
		Origins: []string{"client/test_client_pause_waits_for_held_state_store_write", "I in-flight write"}, Needs: needs(Gate), run: caseWaitsForWrite,
	},
	{
		Name:    "refuses-at-once-while-pausing",
		Promise: "from the first moment of a Pause new work is refused, and does not wait for its end",
		Harm:    "every part of the app that touches the store hangs until the slowest operation has ended",
		Origins: []string{"W-05"}, Needs: needs(Gate), run: caseRefusesAtOnce,
	},
	{
		Name:    "queued-writers-are-refused",
		Promise: "writes that wait for the writer when Pause is called have begun nothing: they are refused at once and never run",
		Harm:    harmLate,
		Origins: []string{"GAP-L writer queue at close", "I writer queued behind writer", "W-06"}, Needs: needs(Gate), run: caseQueuedWriter,
	},
	{
		Name:    "queued-readers-are-refused",
		Promise: "reads that wait for a connection when Pause is called are refused at once, though all connections are still busy",
		Harm:    "goroutines stay blocked for as long as somebody holds a connection, which may be for ever",
		Origins: []string{"I acquire blocked when pool is exhausted", "W-07"}, Needs: needs(Gate), run: caseQueuedReader,
	},
	{
		Name:    "nothing-runs-after-pause",
		Promise: "when Pause returns nil no operation runs, and none begins before Resume, under any load",
		Harm:    harmLate,
		Origins: []string{"W-06", "W-07", "W-08"}, Needs: needs(Gate), run: caseNothingRuns,
	},
	{
		Name:    "waiting-policy",
		Promise: "under the policy Wait, work that meets a pause waits for Resume; everybody who waits is woken and served",
		Harm:    "an app that was told to wait hangs for ever after it comes back",
		Origins: []string{"W-26", "I no lost wake-up", "I fairness"}, Needs: needs(Gate, Wait), run: caseWaitPolicy,
	},
	{
		Name:    "waiting-is-bounded",
		Promise: "waiting for Resume ends with the caller's context, or else with the store's Timeout",
		Harm:    "callers pile up while the app is suspended, and all come at once afterwards, or never",
		Origins: []string{"I Waiting policy honours ctx"}, Needs: needs(Gate, Wait), run: caseWaitBounded,
	},
	{
		Name:    "policy-per-call",
		Promise: "lifecycle.WithPolicy overrides the store's own policy for one call, both ways",
		Harm:    "a button hangs that should say “not now”, or a deep link fails that should have waited a moment",
		Origins: []string{"W-26"}, Needs: needs(Gate, Wait), run: caseWaitPerCall,
	},
	{
		Name:    "close-releases-waiters",
		Promise: "who waits for a Resume gets lifecycle.ErrClosed when the store is closed instead",
		Harm:    "goroutines wait for a store that will never come back",
		Origins: []string{"I waiters released on close"}, Needs: needs(Gate, Wait), run: caseWaitersOnClose,
	},
	{
		Name:    "deadline-is-kept-and-told",
		Promise: "a Pause whose time ends returns then, with a *lifecycle.HeldError that matches the context's error, again if asked again; never nil while something is held",
		Harm:    "the app tells the system that it is ready while it holds locks, and is killed with nobody knowing why",
		Origins: []string{"GAP-L drain timeout", "W-02", "W-03", "W-04"}, Needs: needs(Gate), run: caseDeadline,
	},
	{
		Name:    "holders-are-named",
		Promise: "the error of a Pause that ran out of time names every operation that kept it, with its label",
		Harm:    "“database busy” in a crash report, and nobody knows which of a hundred queries it was",
		Origins: []string{"W-04", "I leaked tx"}, Needs: needs(Gate, Holders), run: caseHolders,
	},
	{
		Name:    "releases-after-the-deadline",
		Promise: "a Pause that ran out of time goes on by itself, and releases everything when the last operation lets go",
		Harm:    harmKilled,
		Origins: []string{"W-04", "W-13"}, Needs: needs(Gate), run: caseReleasesLater,
	},
	{
		Name:    "timeout-without-a-deadline",
		Promise: "a Pause whose context has no deadline is bounded by the store's Timeout",
		Harm:    harmHang,
		Origins: []string{"W-02", "W-03", "GAP-L drain timeout"}, Needs: needs(Gate), run: caseTimeout,
	},
	{
		Name:    "cancelled-calls-leave-no-half",
		Promise: "a Pause or Resume whose context is cancelled, or had ended before, leaves a store that a further Pause and Resume bring to where they say",
		Harm:    "after one call that was given up the store is neither open nor released, and nobody can repair it",
		Origins: []string{"GAP-L cancellation of close", "W-13"}, Needs: needs(Gate), run: caseCancelled,
	},
	{
		Name:    "interrupts-after-the-grace",
		Promise: "an operation that goes on after the grace is interrupted; its calls and it itself return lifecycle.ErrInterrupted, and Pause succeeds",
		Harm:    harmHang,
		Origins: []string{"W-27", "W-08"}, Needs: needs(Gate, Interrupt), run: caseInterrupt,
	},
	{
		Name:    "interrupted-write-leaves-nothing",
		Promise: "of a write that was interrupted and returned so, nothing remains",
		Harm:    "half of a change is stored, which no later start can repair",
		Origins: []string{"W-08"}, Needs: needs(Gate, Interrupt), run: caseInterruptedWrite,
	},
	{
		Name:    "interrupts-hit-nobody-else",
		Promise: "an interrupt ends the operation that it was meant for; those after it, on the same connection, never notice",
		Harm:    "after a suspension something quite different fails at random, once in a thousand times",
		Origins: []string{"W-08"}, Needs: needs(Gate, Interrupt), run: caseInterruptNobodyElse,
	},
	{
		Name:    "severs-at-the-deadline",
		Promise: "an operation that does not end loses its connection at the deadline: Pause succeeds, the operation's next call returns lifecycle.ErrInterrupted, and nothing of a write remains",
		Harm:    harmKilled,
		Origins: []string{"W-03", "GAP-L drain timeout"}, Needs: needs(Gate, Sever), run: caseSever,
	},
	{
		Name:    "panics-leave-nothing-behind",
		Promise: "a callback that panics, or ends its goroutine, is undone, and keeps no pause from its end",
		Harm:    "one bug in one query, and the app can never be suspended again",
		Origins: []string{"I panic in a member"}, run: casePanics,
	},
	{
		Name:    "pause-from-inside-ends",
		Promise: "a Pause called from inside an operation, which could only wait for itself, returns in time with an error",
		Harm:    harmHang,
		Origins: []string{"W-03"}, Needs: needs(Gate), run: caseNested,
	},
	{
		Name:    "leaks-of-callers",
		Promise: "what a callback has left open (rows not read to their end, statements not closed) is closed after it, and an operation that keeps it open is named",
		Harm:    harmKilled,
		Origins: []string{"I Stepped but unreset rows", "I leaked rows", "I leaked tx"}, Needs: needs(Gate, Leak), run: caseLeaks,
	},
	{
		Name:    "no-polling",
		Promise: "Pause returns when the last operation has ended, not at the next look at a clock",
		Harm:    "every suspension wastes time that the system counts, for each store",
		Origins: []string{"W-01"}, Needs: needs(Gate), run: caseNoPolling,
	},

	// Overlapping calls.
	{
		Name:    "resume-overtakes-a-pause",
		Promise: "a Resume during a Pause returns nil without waiting for who is stuck; the Pause returns lifecycle.ErrSuperseded at once",
		Harm:    harmIntent,
		Origins: []string{"I resume while draining", "GAP-L concurrent close/reopen", "W-14"}, Needs: needs(Gate), run: caseResumeOvertakes,
	},
	{
		Name:    "never-two-writers",
		Promise: "after a Resume that overtook a Pause, no write runs beside one that began before",
		Harm:    "two writes change the same data at once, and one of them is lost",
		Origins: []string{"W-06", "I writer queued behind writer"}, Needs: needs(Gate), run: caseOneWriter,
	},
	{
		Name:    "pause-overtakes-a-resume",
		Promise: "a Pause during a Resume takes over what is being opened; the Resume returns lifecycle.ErrSuperseded at once",
		Harm:    harmIntent,
		Origins: []string{"I pause while opening/migrating", "GAP-L concurrent close/reopen"}, Needs: needs(Gate, Hooks), run: casePauseOvertakes,
	},
	{
		Name:    "latest-intent-wins",
		Promise: "of overlapping Pauses and Resumes each returns nil or lifecycle.ErrSuperseded, and the store ends where the last one wanted it",
		Harm:    harmIntent,
		Origins: []string{"GAP-L concurrent close/reopen", "W-14", "I pause-resume-pause storms"}, Needs: needs(Gate), run: caseOverlap,
	},
	{
		Name:    "a-hundred-at-once",
		Promise: "a hundred simultaneous Pauses, and a hundred Resumes, all return nil",
		Harm:    harmHang,
		Origins: []string{"I 100 concurrent pausers all return"}, Needs: needs(Gate), run: caseHundred,
	},
	{
		Name:    "storm",
		Promise: "under load, with random deadlines, overtaken and failed pauses, no write that was acknowledged is lost, no other error is seen, and nobody is left waiting",
		Harm:    harmLost,
		Origins: []string{"I pause-resume-pause storms", "W-06", "W-07"}, Needs: needs(Gate), run: caseStorm,
	},
	{
		Name:    "pause-while-connecting",
		Promise: "connections that are being opened when Pause is called are waited for and closed, too",
		Harm:    harmKilled,
		Origins: []string{"I Pause while constructing", "W-07"}, Needs: needs(Gate), run: caseConnecting,
	},

	// What is held, and what others see.
	{
		Name:    "nothing-held",
		Promise: promiseNothingHeld,
		Harm:    harmKilled,
		Origins: seed("test_pool_is_fully_drained_after_close", "SCEM", "GAP-L descriptors really closed", "I fds and locks zero after pause", "W-09"),
		Needs:   needs(Gate, Files), run: caseNothingHeld,
	},
	{
		Name:    "exclusive-lock-for-others",
		Promise: "after Pause returned nil, another process can lock the files for itself alone",
		Harm:    harmKilled + "; an extension or a backup that needs the files fails",
		Origins: []string{"I lock probe from a child process", "I second process can take EXCLUSIVE while paused", "GAP-L second process holding the file"},
		Needs:   needs(Gate, Files), Children: true, run: caseExclusive,
	},
	{
		Name:    "others-may-use-it-meanwhile",
		Promise: "while the store is paused, another process may open, read and write it; after Resume its changes are seen, and never reported as none",
		Harm:    "what a share extension or a notification service has received is overwritten, or not shown until the app is started anew",
		Origins: []string{"W-20", "I second process can take EXCLUSIVE while paused"}, Needs: needs(Gate, Files), Children: true, run: caseOtherProcess,
	},
	{
		Name:    "another-process-reads",
		Promise: "a Pause while another process reads does not wait for it; what could not be written back for that is a warning, not an error",
		Harm:    harmHang,
		Origins: []string{"GAP-L second process holding the file", "I Checkpoint row with foreign-process reader", "W-10"}, Needs: needs(Gate, Files, Shared), Children: true, run: caseForeignReader,
	},
	{
		Name:    "main-file-is-complete",
		Promise: "after a Pause with nobody else there, the main file alone holds everything: the log was written back after the last operation, and its files are gone",
		Harm:    "a backup, or a move to another device, takes a store in which the latest messages are missing",
		Origins: []string{"GAP-L WAL truncated", "GAP-L checkpoint with open snapshot", "W-10"}, Needs: needs(Gate, Files), run: caseMainFile,
	},
	{
		Name:    "file-deleted",
		Promise: "a Resume whose file is gone returns lifecycle.ErrMissing, makes nothing, and succeeds once the file is back",
		Harm:    harmWrong,
		Origins: []string{"I File deleted", "GAP-L reopen failure", "W-22"}, Needs: needs(Gate, Files), run: caseDeleted,
	},
	{
		Name:    "directory-gone",
		Promise: "a Resume whose directory is gone returns lifecycle.ErrMissing, makes nothing, and succeeds once it is back",
		Harm:    harmWrong,
		Origins: []string{"I directory gone at resume", "GAP-L reopen failure", "W-22"}, Needs: needs(Gate, Files), run: caseDirectoryGone,
	},
	{
		Name:    "content-destroyed",
		Promise: "a Resume whose file was emptied or overwritten with something else fails, changes nothing, and succeeds once the content is back",
		Harm:    harmWrong,
		Origins: []string{"GAP-L reopen failure", "W-22", "I replaced"}, Needs: needs(Gate, Files), run: caseEmptied,
	},
	{
		Name:    "file-replaced",
		Promise: "a Resume that finds another store in the place of its own, copied over it or put there, returns lifecycle.ErrReplaced",
		Harm:    harmWrong,
		Origins: []string{"I replaced", "W-21", "W-22"}, Needs: needs(Gate, Files, Identity), run: caseReplaced,
	},
	{
		Name:    "file-made-read-only",
		Promise: "a Resume on a file system that has become read-only returns lifecycle.ErrInaccessible, and succeeds once it is writable",
		Harm:    "the app takes a locked phone for a damaged store, and throws it away",
		Origins: []string{"I made read-only", "GAP-L reopen failure", "W-22"}, Needs: needs(Gate, Files), Children: true, run: mounted, mounted: mountedReadOnly,
	},
	{
		Name:    "schema-newer",
		Promise: "a Resume of a store that a newer version of the program has changed returns lifecycle.ErrSchemaNewer, and touches nothing",
		Harm:    "an old extension writes into a store whose form it does not know, and damages it",
		Origins: []string{"I schema newer", "W-22"}, Needs: needs(Gate, Files, Schema), run: caseNewer,
	},
	{
		Name:    "disk-full",
		Promise: "a Pause on a full disk ends and holds nothing; when there is space again, everything that was acknowledged is there",
		Harm:    harmLost,
		Origins: []string{"I disk full at checkpoint"}, Needs: needs(Gate, Files), Children: true, run: mounted, mounted: mountedFull,
	},
	{
		Name:    "killed-between-steps",
		Promise: "a process that is killed between any two steps of a Pause leaves a store that opens, with the last acknowledged write",
		Harm:    harmLost,
		Origins: []string{"I Kill -9 between each step"}, Needs: needs(Gate, Files), Children: true, run: caseKilledAtSteps,
	},
	{
		Name:    "killed-at-any-moment",
		Promise: "a process that is killed at whatever moment of a cycle leaves a store that opens, with the last acknowledged write",
		Harm:    harmLost,
		Origins: []string{"I Kill -9 between each step", "I integrity_check"}, Needs: needs(Gate, Files), Children: true, run: caseKilledAnytime,
	},
}
