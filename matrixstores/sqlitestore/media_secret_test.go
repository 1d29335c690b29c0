package sqlitestore_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"maunium.net/go/mautrix/id"

	"github.com/quiesce-go/quiesce/matrixstores/media"
	"github.com/quiesce-go/quiesce/matrixstores/sqlitestore"
	"github.com/quiesce-go/quiesce/storekit"
	"github.com/quiesce-go/quiesce/storekit/secret"
)

// mediaMarkers are in URIs, formats, contents and the name of a lease.
var mediaMarkers = []string{"markeduri", "markedlocal", "markedmethod", "MarkedContent", "MarkedStream", "MarkedUpload", "markedlease", "123456789", "max_file_size"}

const mediaLookVariable = "QUIESCE_TEST_MEDIA_LOOK"

// TestNothingOfMediaIsInTheFiles: no name, format, content or policy of an encrypted
// store can be read in any of its files, whatever was done in it, be it open, paused or closed.
// In a plain store they can, so the looking is worth something.
func TestNothingOfMediaIsInTheFiles(t *testing.T) {
	if dir := os.Getenv(mediaLookVariable); dir != "" {
		lookForMarkers(t, dir)
		return
	}
	onMedia(t, func(t *testing.T, cfg sqlitestore.MediaConfig) {
		now := newClock()
		cfg.Clock = now.now
		s := openMedia(t, cfg)
		content := func(marker string, size int) []byte { return bytes.Repeat([]byte(marker+" "), size/len(marker)) }
		uri := id.ContentURIString("mxc://example.org/markeduri")
		thumbnail := media.Request{URI: uri, Format: media.Format{Method: "markedmethod", Width: 123456789, Height: 2, Animated: true}}
		local := media.File("local:markedlocal")

		must(t, s.SetPolicy(ctx, media.NoLimits().WithMaxFileSize(123456789)))
		addMedia(t, s, media.File(uri), content("MarkedContent", 200_000))
		addMedia(t, s, media.File(uri), content("MarkedContent", 1000)) // in the place of that
		addMedia(t, s, thumbnail, content("MarkedContent", 10))
		addMedia(t, s, local, content("MarkedContent", 100_000))
		_, err := s.Rename(ctx, local, media.File(uri+"2"), media.RenameOptions{ObeyPolicy: true})
		must(t, err)
		commit(t, write(t, s, media.File(uri+"3"), content("MarkedStream", 300_000), 10_000, media.AddOptions{}))
		upload := write(t, s, media.File(uri+"4"), content("MarkedUpload", 300_000), 10_000, media.AddOptions{})
		for _, r := range []media.Request{media.File(uri), thumbnail, media.File(uri + "3"), media.File(uri + "absent")} {
			in, err := s.Open(ctx, r)
			must(t, err)
			if in != nil {
				_, err = io.Copy(io.Discard, in)
				must(t, errors.Join(err, in.Close()))
			}
		}
		_, _, _, err = s.GetForURI(ctx, uri)
		must(t, err)
		must(t, s.Remove(ctx, media.File(uri+"3")))
		_, _, err = s.TakeLease(ctx, "markedlease", "markedlease holder", time.Minute)
		must(t, err)
		_, err = s.Clean(ctx)
		must(t, err)
		foundMarkers(t, cfg, "open", "media.db", "media.db-wal", "media.db-leases")
		must(t, s.Pause(ctx))
		foundMarkers(t, cfg, "paused", "media.db", "media.db-leases")
		must(t, s.Resume(ctx))
		must(t, upload.Close())
		must(t, s.SetPolicy(ctx, media.NoLimits().WithMaxCacheSize(0)))
		_, err = s.Clean(ctx)
		must(t, err)
		must(t, s.Close(ctx))
		foundMarkers(t, cfg, "closed", "media.db")
	})
}

// foundMarkers has another process look, since this one would drop SQLite's locks when it closes a file of the store.
func foundMarkers(t *testing.T, cfg sqlitestore.MediaConfig, when string, files ...string) {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^TestNothingOfMediaIsInTheFiles$")
	cmd.Env = append(os.Environ(), "GORACE=atexit_sleep_ms=0", mediaLookVariable+"="+filepath.Dir(cfg.Database.Path))
	out, err := cmd.Output()
	must(t, err)
	for _, file := range files {
		if !strings.Contains(string(out), "looked at "+file+"\n") {
			t.Errorf("%s: nobody has looked at %s:\n%s", when, file, out)
		}
	}
	plain := cfg.Secret.None()
	for _, marker := range mediaMarkers {
		if found := strings.Contains(string(out), "found "+marker+" "); found && !plain || !found && plain && when == "open" {
			t.Errorf("%s: %q in a file was found: %v; the store is plain: %v:\n%s", when, marker, found, plain, out)
		}
	}
}

func lookForMarkers(t *testing.T, dir string) {
	entries, err := os.ReadDir(dir)
	must(t, err)
	for _, e := range entries {
		content, err := os.ReadFile(filepath.Join(dir, e.Name()))
		must(t, err)
		fmt.Println("looked at", e.Name())
		for _, marker := range mediaMarkers {
			if bytes.Contains(content, []byte(marker)) {
				fmt.Println("found", marker, "in", e.Name())
			}
		}
	}
}

// TestMediaOutlivesItsKeys: another data key, another secret, keys that are forgotten
// at every pause: contents, an upload that is under way and the policy are
// there, nothing is sealed with the old key, and a check of all that is sealed finds nothing.
func TestMediaOutlivesItsKeys(t *testing.T) {
	onMedia(t, func(t *testing.T, cfg sqlitestore.MediaConfig) {
		if cfg.Secret.None() {
			t.Skip("a plain store has no keys")
		}
		ask := func(b byte) secret.Secret {
			return secret.Ask(func(context.Context) (secret.Secret, error) { return key(b), nil })
		}
		cfg.Secret, cfg.ForgetKeyOnPause = ask(1), true
		s := openMedia(t, cfg)
		data := pattern(1, 5*chunkSize+1)
		must(t, s.SetPolicy(ctx, media.NoLimits()))
		addMedia(t, s, file(1), data)
		w := write(t, s, file(2), data[:3*chunkSize], 1000, media.AddOptions{})
		in, err := s.Open(ctx, file(1))
		must(t, err)
		for b := byte(1); b < 3; b++ {
			must(t, s.Rotate(ctx, key(b), storekit.RotateOptions{}))
			must(t, s.Check(ctx, storekit.CheckOptions{Sealed: true}))
			must(t, s.ChangeSecret(ctx, key(b), ask(b+1)))
			must(t, s.Pause(ctx))
			must(t, s.Resume(ctx))
			readBack(t, in, data)
			addMedia(t, s, file(int(b)+10), data)
		}
		_, err = w.Write(data[3*chunkSize:])
		must(t, err)
		commit(t, w)
		policy := media.NoLimits().WithMaxCacheSize(123456)
		must(t, s.SetPolicy(ctx, policy))
		must(t, in.Close())
		must(t, s.Close(ctx))
		cfg.Secret = ask(3)
		s = openMedia(t, cfg)
		for _, n := range []int{1, 2, 11, 12} {
			wantMedia(t, s, file(n), data)
		}
		if p := s.Policy(); p.MaxCacheSize == nil || *p.MaxCacheSize != *policy.MaxCacheSize {
			t.Errorf("the policy is %+v, want %+v", p, policy)
		}
		must(t, s.Check(ctx, storekit.CheckOptions{Sealed: true}))
	})
}
