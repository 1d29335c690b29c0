package state

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// TimeToLive is how long what the server says of itself is good for.
const TimeToLive = 24 * time.Hour

// Expiring is a value that is to be fetched anew from time to time. Its zero value has expired.
type Expiring[T any] struct {
	Value T

	// FetchedAt is when it was fetched, in milliseconds since 1970. It does not count if Forever.
	FetchedAt int64

	// Forever says that it never expires.
	Forever bool
}

// Fetched returns a value that was fetched now.
func Fetched[T any](v T, now time.Time) Expiring[T] {
	return Expiring[T]{Value: v, FetchedAt: now.UnixMilli()}
}

// Forever returns a value that never expires.
func Forever[T any](v T) Expiring[T] { return Expiring[T]{Value: v, Forever: true} }

// Expired says whether the value is TimeToLive old, or older. What was fetched in the future has not expired.
func (e Expiring[T]) Expired(now time.Time) bool {
	return !e.Forever && now.UnixMilli()-e.FetchedAt >= TimeToLive.Milliseconds()
}

// expiring is Expiring in JSON: without a time the value has expired, with null as its time it never does.
type expiring[T any] struct {
	Value     T               `json:"value"`
	FetchedAt json.RawMessage `json:"fetched_at,omitempty"`
}

// MarshalJSON writes it with the time as a number, or null for Forever.
func (e Expiring[T]) MarshalJSON() ([]byte, error) {
	at := json.RawMessage("null")
	if !e.Forever {
		at = strconv.AppendInt(nil, e.FetchedAt, 10)
	}
	return marshal(expiring[T]{e.Value, at})
}

// UnmarshalJSON reads what MarshalJSON writes. Without a time the value has expired.
func (e *Expiring[T]) UnmarshalJSON(raw []byte) error {
	var in expiring[T]
	if err := json.Unmarshal(raw, &in); err != nil {
		return err
	}
	*e = Expiring[T]{Value: in.Value, FetchedAt: integer(in.FetchedAt), Forever: string(in.FetchedAt) == "null"}
	return nil
}

// ServerVersions is what a homeserver says that it can do.
type ServerVersions struct {
	Versions         []string        `json:"versions,omitempty"` // of the specification, such as "v1.11" or "r0.6.1"
	UnstableFeatures map[string]bool `json:"unstable_features,omitempty"`
}

// OrDefault returns those of the versions that have a known form, and v1.0 where there is none: a server that says
// nothing can still be talked to.
func (v ServerVersions) OrDefault() []string {
	known := slices.DeleteFunc(slices.Clone(v.Versions), func(s string) bool { return !knownVersion(s) })
	if len(known) == 0 {
		return []string{"v1.0"}
	}
	return known
}

// knownVersion says whether this is r0.N.N or vN.N.
func knownVersion(s string) bool {
	if s == "" || (s[0] != 'v' && s[0] != 'r') {
		return false
	}
	parts := strings.Split(s[1:], ".")
	if len(parts) != map[byte]int{'v': 2, 'r': 3}[s[0]] {
		return false
	}
	for _, p := range parts {
		if _, err := strconv.ParseUint(p, 10, 32); err != nil {
			return false
		}
	}
	return true
}

// WellKnown is what a server's name leads to.
type WellKnown struct {
	Homeserver     string     `json:"homeserver"` // base URLs
	IdentityServer string     `json:"identity_server,omitempty"`
	TileServer     string     `json:"tile_server,omitempty"` // the URL of a map style
	RTCFoci        []RTCFocus `json:"rtc_foci,omitempty"`
}

// RTCFocus is a server for calls: its type, and the rest of it as it came.
type RTCFocus struct {
	Type string          `json:"type"`
	Raw  json.RawMessage `json:"raw,omitempty"` // the whole object
}

// Capabilities is what a homeserver lets a user do: each capability, by its name, as it came.
type Capabilities map[string]json.RawMessage

// Enabled returns the field enabled of a capability, and def where it says nothing.
func (c Capabilities) Enabled(name string, def bool) bool {
	switch enabled := object(c[name])["enabled"]; string(enabled) {
	case "true":
		return true
	case "false":
		return false
	default:
		return def
	}
}

// CatchUpToken is a part of the changes of thread subscriptions that a client has yet to ask for.
type CatchUpToken struct {
	From string  `json:"from"`
	To   *string `json:"to,omitempty"` // nil: to the end
}

// BloomFilter is a set that may say yes by mistake. A store keeps it as it is; what the bytes mean is the
// business of whoever made it.
type BloomFilter struct {
	Bits              []byte  `json:"bits"`
	Items             uint64  `json:"items"`               // that were put in
	Capacity          uint64  `json:"capacity"`            // for which it was made at first
	FalsePositiveRate float64 `json:"false_positive_rate"` // that is aimed at
	Growth            float64 `json:"growth,omitempty"`    // by which a further part is larger than the one before
}

// String says how much is in it.
func (b BloomFilter) String() string {
	return fmt.Sprintf("bloom filter with %d items in %d bytes", b.Items, len(b.Bits))
}
