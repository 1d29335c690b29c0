//go:build unix

package sqlite_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/quiesce-go/quiesce/driver/sqlite"
	"github.com/quiesce-go/quiesce/internal/tier"
	"github.com/quiesce-go/quiesce/lifecycle"
)

const killVariable = "QUIESCE_TEST_KILL"

// TestKilledProcessLosesNothing: a process that writes, pauses and resumes is
// killed with SIGKILL at a random moment. Whatever it had acknowledged is
// there afterwards, and the database is whole. 5 rounds for each engine in the
// tier short, 50 in full, 1,000 in soak.
func TestKilledProcessLosesNothing(t *testing.T) {
	if os.Getenv(killVariable) != "" {
		t.Skip("this process is the child that gets killed; TestKillChild does the work")
	}
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		path := filepath.Join(t.TempDir(), "kill.db")
		seen := map[string]int{}
		total := 0
		rounds := tier.Count(5, 50, 1000)
		for i := range rounds {
			acked, doing := killedChild(t, engine, path)
			seen[doing]++
			total += len(acked)
			verifyAfterKill(t, engine, path, acked)
			if t.Failed() {
				t.Fatalf("in round %d of %d, killed during %s", i+1, rounds, doing)
			}
		}
		if total == 0 {
			t.Error("no write was acknowledged in any round: this proves nothing")
		}
		t.Logf("%d kills, %d acknowledged writes, 0 lost; killed during %v", rounds, total, seen)
	})
}

// killedChild runs a child until it is killed, and returns what it had acknowledged and what it was doing.
func killedChild(t *testing.T, engine sqlite.Engine, path string) (acked []int64, doing string) {
	t.Helper()
	child := exec.Command(os.Args[0], "-test.run=^TestKillChild$", "-test.timeout=5m")
	child.Env = append(os.Environ(), killVariable+"="+engine.Name()+":"+path)
	child.Stderr = os.Stderr
	out, err := child.StdoutPipe()
	must(t, err)
	must(t, child.Start())
	defer func() { _ = child.Wait() }()
	watchdog := time.AfterFunc(2*time.Minute, func() { _ = child.Process.Kill() })
	defer watchdog.Stop()

	lines := bufio.NewScanner(out)
	doing = "opening"
	armed := false
	for lines.Scan() {
		var n int64
		switch word, rest, _ := strings.Cut(lines.Text(), " "); word {
		case "ack":
			if _, err := fmt.Sscan(rest, &n); err == nil {
				acked = append(acked, n)
			}
		case "doing":
			doing = rest
		case "error":
			t.Errorf("the child says: %s", rest)
		}
		if !armed && len(acked) > 0 {
			armed = true
			time.AfterFunc(time.Duration(rand.IntN(60_000))*time.Microsecond, func() { _ = child.Process.Signal(syscall.SIGKILL) })
		}
	}
	return acked, doing
}

func verifyAfterKill(t *testing.T, engine sqlite.Engine, path string, acked []int64) {
	t.Helper()
	db, err := sqlite.Open(ctx, sqlite.Config{Engine: engine, Path: path, Verify: true})
	if err != nil {
		t.Errorf("the store cannot be opened after a kill: %v", err)
		return
	}
	l := &load{db: db, acked: map[int64]bool{}}
	for _, n := range acked {
		l.acked[n] = true
	}
	l.verify(t)
	must(t, db.Close(ctx))
	nothingHeld(t, db)
}

// TestKillChild is the process that gets killed.
func TestKillChild(t *testing.T) {
	name, path, ok := strings.Cut(os.Getenv(killVariable), ":")
	if !ok {
		t.Skip("only runs as the child of TestKilledProcessLosesNothing")
	}
	for _, engine := range engines {
		if engine.Name() == name {
			killChild(engine, path)
		}
	}
}

func killChild(engine sqlite.Engine, path string) {
	var mu sync.Mutex
	say := func(format string, args ...any) {
		mu.Lock()
		defer mu.Unlock()
		fmt.Printf(format+"\n", args...)
	}
	db, err := sqlite.Open(ctx, sqlite.Config{Engine: engine, Path: path, Grace: 5 * time.Millisecond})
	if err != nil {
		say("error open: %v", err)
		return
	}
	var next int64
	err = db.Write(ctx, func(c *sqlite.Conn) error {
		if err := c.ExecScript(ctx, loadSchema); err != nil {
			return err
		}
		return c.QueryRow(ctx, `SELECT coalesce(max(n), 0) FROM log`).Scan(&next)
	})
	if err != nil {
		say("error schema: %v", err)
		return
	}
	wait := lifecycle.WithPolicy(ctx, lifecycle.Wait)
	go func() {
		for {
			next++
			n := next
			err := db.Update(wait, func(c *sqlite.Conn) error { return writeRow(c, n) })
			if err == nil {
				say("ack %d", n)
			} else if !errors.Is(err, lifecycle.ErrInterrupted) {
				say("error update: %v", err)
				return
			}
		}
	}()
	go func() {
		for {
			var n int
			_ = db.View(wait, func(c *sqlite.Conn) error { return c.QueryRow(ctx, `SELECT count(*) FROM log`).Scan(&n) })
		}
	}()
	for { // until killed
		say("doing writes")
		time.Sleep(time.Duration(rand.IntN(5000)) * time.Microsecond) // a random moment is what is wanted
		say("doing a pause")
		short, cancel := context.WithTimeout(ctx, 100*time.Millisecond)
		err := db.Pause(short)
		cancel()
		say("doing a rest")
		if err == nil {
			time.Sleep(time.Duration(rand.IntN(1000)) * time.Microsecond)
		}
		say("doing a resume")
		if err := db.Resume(ctx); err != nil {
			say("error resume: %v", err)
			return
		}
	}
}
