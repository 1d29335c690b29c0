//go:build unix

package mautrixstate_test

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/quiesce-go/quiesce/internal/tier"
)

// clientChild is the environment variable that tells a child on which store it is to sync, in which directory, and with which server.
const clientChild = "QUIESCE_TEST_STATE_CLIENT"

// TestAKillRepeatsAResponseAndSkipsNone: a client is killed while it syncs, again and again, on the same store. Whenever it was, the token
// and the state agree, no response is lost that the client has told the server to have, and none is there that the server has not sent. In the end every response is
// in the state once.
func TestAKillRepeatsAResponseAndSkipsNone(t *testing.T) {
	for _, variant := range onStores[:tier.Count(2, 4, 4)] {
		t.Run(variant.name, func(t *testing.T) {
			if variant.cgo && !withCgo {
				t.Skip("the mattn engine needs cgo, and this is a build without; the other build runs it")
			}
			ctx, cancel := context.WithTimeout(t.Context(), 20*watchdog)
			defer cancel()
			dir := t.TempDir()
			server := newScript(t, func(string) {})
			rounds, repeated := tier.Count(5, 30, 300), 0
			for round := range rounds {
				killAmidSync(ctx, t, variant.name, dir, server.URL)
				store, err := variant.open(dir)
				if err != nil {
					t.Fatalf("round %d: %v", round, err)
				}
				n, err := applied(ctx, store)
				if err != nil {
					t.Fatalf("round %d: %v", round, err)
				}
				asked, answered := int(server.asked.Load()), int(server.answered.Load())
				if n < asked || n > answered {
					t.Errorf("round %d: the store has the responses up to %d; the client has said that it has those up to %d, and was sent those up to %d", round, n, asked, answered)
				}
				repeated += answered - n
				if err := store.Close(ctx); err != nil {
					t.Fatal(err)
				}
			}

			store, err := variant.open(dir)
			if err != nil {
				t.Fatal(err)
			}
			defer func() {
				if err := store.Close(context.Background()); err != nil {
					t.Error(err)
				}
			}()
			last := int(server.answered.Load()) + 3
			server.last.Store(int64(last))
			syncing, stop := context.WithCancel(ctx)
			ended := make(chan error, 1)
			go func() { ended <- syncOn(syncing, store, server.URL, server.Client(), func(string) {}) }()
			select {
			case <-server.atEnd:
			case err := <-ended:
				t.Fatalf("the last client has ended with %v", err)
			}
			stop()
			<-ended
			if n, err := applied(ctx, store); err != nil || n != last {
				t.Errorf("the store has the responses up to %d, and should have those up to %d (%v)", n, last, err)
			}
			t.Logf("%d kills, %d responses, %d of them came again after a kill", rounds, last, repeated)
		})
	}
}

// killAmidSync runs a child until it has said a few times where it is, and kills it somewhere behind that.
func killAmidSync(ctx context.Context, t *testing.T, variant, dir, url string) {
	t.Helper()
	cmd := exec.CommandContext(ctx, os.Args[0], "-test.run=^TestClientChild$", "-test.timeout=5m")
	cmd.Env = append(os.Environ(), "GORACE=atexit_sleep_ms=0", clientChild+"="+strings.Join([]string{variant, dir, url}, "|"))
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	said, enough := 0, 1+rand.IntN(40)
	for lines.Scan() {
		if !strings.HasPrefix(lines.Text(), "client: ") {
			t.Log(lines.Text()) // what a child says that fails
			continue
		}
		if said++; said == enough { // and it goes on meanwhile
			go func() { _ = cmd.Process.Signal(syscall.SIGKILL) }()
		}
	}
	_ = cmd.Wait()
	if said < enough {
		t.Fatalf("the child has ended by itself, after %d of %d lines", said, enough)
	}
}

// TestClientChild is the process that is killed.
func TestClientChild(t *testing.T) {
	told := strings.Split(os.Getenv(clientChild), "|")
	if len(told) != 3 {
		t.Skip("only runs as the child of a test")
	}
	for _, variant := range onStores {
		if variant.name != told[0] {
			continue
		}
		store, err := variant.open(told[1])
		if err != nil {
			t.Fatal(err)
		}
		err = syncOn(t.Context(), store, told[2], http.DefaultClient, func(where string) { fmt.Println("client: " + where) })
		t.Fatalf("the sync has ended with %v", err)
	}
}
