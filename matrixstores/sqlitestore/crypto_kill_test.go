//go:build unix

package sqlitestore_test

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"maunium.net/go/mautrix/id"

	"github.com/quiesce-go/quiesce/driver/sqlite"
	"github.com/quiesce-go/quiesce/internal/tier"
	"github.com/quiesce-go/quiesce/matrixstores/crypto"
	"github.com/quiesce-go/quiesce/storekit"
)

const cryptoChild = "QUIESCE_TEST_CRYPTO"

// killedStep is all that a client stores when it has decrypted message i: ratchets that have moved on by one, and the
// account that they belong to. A step is there as a whole or not at all.
func killedStep(i int) *crypto.Changes {
	pickle := fmt.Append(nil, "step ", i)
	c := &crypto.Changes{
		Account:       &crypto.Account{UserID: "@a", DeviceID: "D", IdentityKey: "k", Pickle: pickle},
		NextBatch:     fmt.Sprint(i),
		MessageHashes: []crypto.MessageHash{{Hash: pickle, At: time.UnixMilli(int64(i))}},
	}
	for j := range 3 {
		c.Sessions = append(c.Sessions, crypto.Session{ID: id.SessionID(fmt.Sprint(j)), SenderKey: "sender", Pickle: pickle})
		c.InboundGroupSessions = append(c.InboundGroupSessions, crypto.InboundGroupSession{RoomID: "!room", SessionID: id.SessionID(fmt.Sprint(j)), Pickle: pickle})
		c.OutboundGroupSessions = append(c.OutboundGroupSessions, crypto.OutboundGroupSession{RoomID: id.RoomID(fmt.Sprint(j)), SessionID: "out", MessageCount: i, Pickle: pickle})
	}
	return c
}

// stepOf is which step there is. Everything has to be of this one.
func stepOf(t *testing.T, s crypto.Store) (step int) {
	t.Helper()
	token, err := s.NextBatch(ctx)
	must(t, err)
	if token == "" {
		return -1
	}
	_, err = fmt.Sscan(token, &step)
	must(t, err)
	want := killedStep(step)
	mixed := func(what string, pickle []byte) {
		if string(pickle) != string(want.Account.Pickle) {
			t.Errorf("the token is that of step %d, and the pickle of %s is %q: a ratchet has gone back, or is in front", step, what, pickle)
		}
	}
	account, err := s.Account(ctx)
	must(t, err)
	mixed("the account", account.Pickle)
	sessions, err := s.Sessions(ctx, "sender")
	must(t, err)
	inbounds, err := s.InboundGroupSessions(ctx)
	must(t, err)
	if len(sessions) != 3 || len(inbounds) != 3 {
		t.Errorf("of step %d there are %d Olm and %d inbound sessions, and should be 3 each", step, len(sessions), len(inbounds))
	}
	for i := range sessions {
		mixed("an Olm session", sessions[i].Pickle)
		mixed("an inbound session", inbounds[i].Pickle)
		out, err := s.OutboundGroupSession(ctx, id.RoomID(fmt.Sprint(i)))
		must(t, err)
		if out == nil || out.MessageCount != step {
			t.Fatalf("of step %d the outbound session is %+v", step, out)
		}
		mixed("an outbound session", out.Pickle)
	}
	for i, want := range map[int]bool{step: true, step + 1: false} {
		_, known, err := s.MessageHash(ctx, "", fmt.Append(nil, "step ", i))
		must(t, err)
		if known != want {
			t.Errorf("at step %d, that message %d is known is %v", step, i, known)
		}
	}
	return step
}

// TestKilledCryptoNeverGoesBack: a process that is killed while it stores ratchets, checks replays, pauses and resumes has lost nothing that
// was acknowledged, and has no step by half; a message that it has shown is a replay for whoever comes after it.
func TestKilledCryptoNeverGoesBack(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		path, last := filepath.Join(t.TempDir(), "crypto.db"), -1
		for round := range tier.Count(5, 50, 500) {
			stored, shown := killWhileStoring(t, engine, path)
			s := openCrypto(t, cryptoConfig(path, engine, key(1)))
			step := stepOf(t, s)
			if step < stored || step < last {
				t.Errorf("round %d: there is step %d, and %d was acknowledged, and %d was there before", round, step, stored, last)
			}
			for i := max(0, shown-20); i <= shown; i++ {
				ok, err := s.CheckMessageIndex(ctx, crypto.MessageIndex{SessionID: "session", Index: uint32(i), EventID: "$replay", Timestamp: 1})
				must(t, err)
				if ok {
					t.Errorf("round %d: message %d was shown, and after the kill another one may take its index", round, i)
				}
			}
			must(t, s.Check(ctx, storekit.CheckOptions{Sealed: true}))
			must(t, s.Close(ctx))
			last = step
		}
		t.Logf("%d steps are there, the last one whole", last+1)
	})
}

// killWhileStoring runs the child for a while, and returns what it has acknowledged last.
func killWhileStoring(t *testing.T, engine sqlite.Engine, path string) (stored, shown int) {
	t.Helper()
	limit, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(limit, os.Args[0], "-test.run=^TestCryptoChild$", "-test.timeout=5m")
	cmd.Env = append(os.Environ(), "GORACE=atexit_sleep_ms=0", cryptoChild+"="+engine.Name()+":"+path)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	stored, shown = -1, -1
	enough := 1 + rand.IntN(30)
	for lines := bufio.NewScanner(out); lines.Scan(); {
		var what string
		var i int
		if _, err := fmt.Sscan(lines.Text(), &what, &i); err != nil {
			continue
		}
		switch what {
		case "stored":
			stored = i
			if enough--; enough == 0 { // it is busy with the next one, or pauses
				time.AfterFunc(rand.N(5*time.Millisecond), func() { _ = cmd.Process.Signal(syscall.SIGKILL) })
			}
		case "shown":
			shown = i
		case "refused":
			t.Errorf("the child was refused to show message %d, which nobody has shown before", i)
		}
	}
	_ = cmd.Wait()
	if stored < 0 {
		t.Fatal("the child has stored nothing")
	}
	return stored, shown
}

// TestCryptoChild is the process that is killed.
func TestCryptoChild(t *testing.T) {
	name, path, ok := strings.Cut(os.Getenv(cryptoChild), ":")
	if !ok {
		t.Skip("only runs as the child of a test")
	}
	for _, engine := range engines {
		if engine.Name() != name {
			continue
		}
		s := openCrypto(t, cryptoConfig(path, engine, key(1)))
		for i := stepOf(t, s) + 1; ; i++ {
			// A message that was shown and whose step was not stored comes again, and is the same event.
			shown, err := s.CheckMessageIndex(ctx, crypto.MessageIndex{SessionID: "session", Index: uint32(i), EventID: id.EventID(fmt.Sprint("$", i)), Timestamp: 1})
			must(t, err)
			fmt.Println(map[bool]string{true: "shown", false: "refused"}[shown], i)
			must(t, s.SaveChanges(ctx, killedStep(i)))
			fmt.Println("stored", i)
			if i%5 == 0 {
				must(t, s.Pause(ctx))
				must(t, s.Resume(ctx))
			}
		}
	}
}
