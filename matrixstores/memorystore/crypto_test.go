package memorystore_test

import (
	"context"
	"testing"

	"maunium.net/go/mautrix/id"

	"github.com/quiesce-go/quiesce/conformance/cryptotest"
	"github.com/quiesce-go/quiesce/matrixstores/crypto"
	"github.com/quiesce-go/quiesce/matrixstores/memorystore"
)

func openCrypto(t testing.TB, cfg memorystore.CryptoConfig) *memorystore.Crypto {
	t.Helper()
	leavesNothing(t)
	s, err := memorystore.OpenCrypto(t.Context(), cfg)
	must(t, err)
	t.Cleanup(func() { must(t, s.Close(context.Background())) })
	return s
}

// TestCryptoContract: the crypto store gives the answers of the contract, whether a pause means something or not.
func TestCryptoContract(t *testing.T) {
	onModes(t, func(t *testing.T, strict bool) {
		cryptotest.Run(t, func() *cryptotest.Harness {
			return &cryptotest.Harness{
				Open: func(ctx context.Context, _ string, o cryptotest.Options) (crypto.Store, error) {
					return memorystore.OpenCrypto(ctx, memorystore.CryptoConfig{Config: memorystore.Config{
						Strict: strict, Clock: o.Clock, Timeout: o.Timeout, Grace: o.Grace, WhenPaused: o.WhenPaused,
					}})
				},
				Without: without(strict),
			}
		})
	})
}

// TestStrictCryptoObeysTheGate: a strict crypto store refuses work while it is paused, and has kept everything after the Resume.
func TestStrictCryptoObeysTheGate(t *testing.T) {
	ctx := t.Context()
	s := openCrypto(t, memorystore.CryptoConfig{Config: memorystore.Config{Strict: true}})
	changes := &crypto.Changes{
		NextBatch: "token",
		Sessions:  []crypto.Session{{ID: "s", SenderKey: "k", Pickle: []byte("pickle")}},
	}
	must(t, s.SaveChanges(ctx, changes))
	must(t, s.Pause(ctx))
	if err := s.SaveChanges(ctx, changes); !isPaused(err) {
		t.Errorf("SaveChanges while paused: %v", err)
	}
	if has, err := s.HasSession(ctx, "k"); !isPaused(err) || has {
		t.Errorf("HasSession while paused: %v, %v", has, err)
	}
	must(t, s.Resume(ctx))
	sessions, err := s.Sessions(ctx, "k")
	must(t, err)
	if len(sessions) != 1 || string(sessions[0].Pickle) != "pickle" {
		t.Errorf("after the Resume there are %+v", sessions)
	}
}

// TestACallersPicklesAreHisOwn: a caller may clear what he has given, and what he was given.
func TestACallersPicklesAreHisOwn(t *testing.T) {
	ctx := t.Context()
	s := openCrypto(t, memorystore.CryptoConfig{})
	pickle, secret := []byte("pickle"), []byte("secret")
	must(t, s.SaveChanges(ctx, &crypto.Changes{
		Sessions: []crypto.Session{{ID: "s", SenderKey: "k", Pickle: pickle}}, BackupDecryptionKey: secret, DehydratedDeviceKey: secret,
		Secrets: []crypto.InboxSecret{{Name: "name", Secret: secret}},
	}))
	must(t, s.PutSecret(ctx, "name", secret))
	must(t, s.SetCustomValue(ctx, []byte("key"), secret))
	clear(pickle)
	clear(secret)
	for range 2 {
		session, err := s.LatestSession(ctx, id.SenderKey("k"))
		must(t, err)
		keys, err := s.BackupKeys(ctx)
		must(t, err)
		dehydrated, err := s.DehydratedDeviceKey(ctx)
		must(t, err)
		inbox, err := s.InboxSecrets(ctx, "name")
		must(t, err)
		named, _, err := s.Secret(ctx, "name")
		must(t, err)
		custom, _, err := s.CustomValue(ctx, []byte("key"))
		must(t, err)
		for want, got := range map[string][][]byte{"pickle": {session.Pickle}, "secret": {keys.DecryptionKey, dehydrated, inbox[0], named, custom}} {
			for _, b := range got {
				if string(b) != want {
					t.Errorf("%q has become %q", want, b)
				}
				clear(b)
			}
		}
	}
}
