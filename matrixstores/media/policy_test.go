package media

import (
	"encoding/json"
	"errors"
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"
)

var now = time.Date(2026, 1, 2, 3, 4, 5, 6e6, time.UTC)

// TestDefaultPolicy: the limits of the default are those that are documented.
func TestDefaultPolicy(t *testing.T) {
	p := DefaultPolicy()
	if *p.MaxCacheSize != 400*1024*1024 || *p.MaxFileSize != 20*1024*1024 || *p.LastAccessExpiry != 60*24*time.Hour || *p.CleanupFrequency != 24*time.Hour {
		t.Errorf("the default is %d and %d bytes, %v and %v; it should be 400 MiB, 20 MiB, 60 days and one day", *p.MaxCacheSize, *p.MaxFileSize, *p.LastAccessExpiry, *p.CleanupFrequency)
	}
	*p.MaxFileSize = 1
	if *DefaultPolicy().MaxFileSize != DefaultMaxFileSize {
		t.Error("who changes the policy that was returned changes the default")
	}
	if err := p.Check(); err != nil {
		t.Errorf("Check of the default: %v", err)
	}
}

// TestPolicyHasLimits: each limit is one, also of 0; how often is cleaned is none.
func TestPolicyHasLimits(t *testing.T) {
	for what, c := range map[string]struct {
		p    Policy
		want bool
	}{
		"nothing":            {NoLimits(), false},
		"the zero value":     {Policy{}, false},
		"the frequency":      {NoLimits().WithCleanupFrequency(time.Hour), false},
		"a frequency of 0":   {NoLimits().WithCleanupFrequency(0), false},
		"the cache":          {NoLimits().WithMaxCacheSize(1), true},
		"a cache of 0":       {NoLimits().WithMaxCacheSize(0), true},
		"a content":          {NoLimits().WithMaxFileSize(1), true},
		"a content of 0":     {NoLimits().WithMaxFileSize(0), true},
		"the expiry":         {NoLimits().WithLastAccessExpiry(1), true},
		"an expiry of 0":     {NoLimits().WithLastAccessExpiry(0), true},
		"all of the default": {DefaultPolicy(), true},
	} {
		if got := c.p.HasLimits(); got != c.want {
			t.Errorf("limiting %s: HasLimits is %v", what, got)
		}
	}
}

// TestPolicySetters: each sets its own limit, and changes nothing of the policy that it was called on.
func TestPolicySetters(t *testing.T) {
	base := DefaultPolicy()
	text := func(p Policy) string {
		b, err := json.Marshal(p)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	before := text(base)
	for want, p := range map[string]Policy{
		`{"max_cache_size":7,"max_file_size":20971520,"last_access_expiry":5184000000000000,"cleanup_frequency":86400000000000}`:  base.WithMaxCacheSize(7),
		`{"max_cache_size":419430400,"max_file_size":7,"last_access_expiry":5184000000000000,"cleanup_frequency":86400000000000}`: base.WithMaxFileSize(7),
		`{"max_cache_size":419430400,"max_file_size":20971520,"last_access_expiry":7,"cleanup_frequency":86400000000000}`:         base.WithLastAccessExpiry(7),
		`{"max_cache_size":419430400,"max_file_size":20971520,"last_access_expiry":5184000000000000,"cleanup_frequency":7}`:       base.WithCleanupFrequency(7),
		`{"max_cache_size":0,"max_file_size":0}`: NoLimits().WithMaxFileSize(0).WithMaxCacheSize(0),
		`{}`:                                     NoLimits(),
	} {
		if got := text(p); got != want {
			t.Errorf("the policy is %s, and should be %s", got, want)
		}
	}
	if text(base) != before {
		t.Errorf("the policy on which setters were called is %s now, and was %s", text(base), before)
	}
}

// TestPolicyJSON: what is stored of a policy is the same when it is read: no limit, and a limit of 0, stay what they are.
func TestPolicyJSON(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := anyPolicy.Draw(t, "policy")
		b, err := json.Marshal(p)
		if err != nil {
			t.Fatal(err)
		}
		var read Policy
		if err := json.Unmarshal(b, &read); err != nil {
			t.Fatal(err)
		}
		again, err := json.Marshal(read)
		if err != nil || string(again) != string(b) || (read.MaxFileSize == nil) != (p.MaxFileSize == nil) || (read.CleanupFrequency == nil) != (p.CleanupFrequency == nil) {
			t.Fatalf("%s was stored, and %s read (%v)", b, again, err)
		}
	})
}

// anyPolicy has limits or not, and edges more often than others.
var anyPolicy = rapid.Custom(func(t *rapid.T) (p Policy) {
	number := rapid.OneOf(rapid.Int64Range(0, 20), rapid.SampledFrom([]int64{math.MaxInt64, math.MaxInt64 - 1}))
	set := func(what string, with func(int64) Policy) {
		if rapid.Bool().Draw(t, what) {
			p = with(number.Draw(t, what))
		}
	}
	set("MaxCacheSize", func(n int64) Policy { return p.WithMaxCacheSize(n) })
	set("MaxFileSize", func(n int64) Policy { return p.WithMaxFileSize(n) })
	set("LastAccessExpiry", func(n int64) Policy { return p.WithLastAccessExpiry(time.Duration(n)) })
	set("CleanupFrequency", func(n int64) Policy { return p.WithCleanupFrequency(time.Duration(n)) })
	return p
})

// TestPolicyFileLimit: one content may be as large as the smaller one of two limits, and not a byte larger.
func TestPolicyFileLimit(t *testing.T) {
	for _, c := range []struct {
		p       Policy
		limit   int64
		limited bool
	}{
		{NoLimits(), 0, false},
		{NoLimits().WithLastAccessExpiry(0).WithCleanupFrequency(0), 0, false},
		{NoLimits().WithMaxFileSize(200), 200, true},
		{NoLimits().WithMaxCacheSize(300), 300, true},
		{NoLimits().WithMaxFileSize(200).WithMaxCacheSize(300), 200, true},
		{NoLimits().WithMaxFileSize(300).WithMaxCacheSize(200), 200, true},
		{NoLimits().WithMaxFileSize(0).WithMaxCacheSize(200), 0, true},
		{NoLimits().WithMaxFileSize(math.MaxInt64), math.MaxInt64, true},
		{DefaultPolicy(), DefaultMaxFileSize, true},
	} {
		if limit, limited := c.p.FileLimit(); limit != c.limit || limited != c.limited {
			t.Errorf("FileLimit is %d, %v, and should be %d, %v", limit, limited, c.limit, c.limited)
		}
		if c.p.TooLarge(0) || c.p.TooLarge(c.limit) || c.limited && c.limit < math.MaxInt64 && !c.p.TooLarge(c.limit+1) || !c.limited && c.p.TooLarge(math.MaxInt64) {
			t.Errorf("of a limit of %d, %v: too large are 0: %v, %d: %v, %d: %v", c.limit, c.limited, c.p.TooLarge(0), c.limit, c.p.TooLarge(c.limit), c.limit+1, c.p.TooLarge(c.limit+1))
		}
	}
}

// TestPolicyTooMuch: all together may be as much as the limit, and not a byte more.
func TestPolicyTooMuch(t *testing.T) {
	p := NoLimits().WithMaxFileSize(1)
	if p.TooMuch(math.MaxInt64) {
		t.Error("without a limit for all together, all together are too much")
	}
	for _, limit := range []int64{0, 1, 200, math.MaxInt64 - 1} {
		p = p.WithMaxCacheSize(limit)
		if p.TooMuch(limit) || !p.TooMuch(limit+1) {
			t.Errorf("of a limit of %d: too much are %d: %v, %d: %v", limit, limit, p.TooMuch(limit), limit+1, p.TooMuch(limit+1))
		}
	}
	if p.WithMaxCacheSize(math.MaxInt64).TooMuch(math.MaxInt64) {
		t.Error("nothing is more than the greatest number")
	}
}

// times are how long ago something was, and whether that is as long as a limit of 30 s, or longer.
var times = []struct {
	ago  time.Duration
	over bool
}{
	{-1000 * time.Hour, false}, {-time.Nanosecond, false}, {0, false}, {time.Second, false}, {30*time.Second - 1, false},
	{30 * time.Second, true}, {31 * time.Second, true}, {math.MaxInt64, true},
}

// TestPolicyExpired: what was not read for the expiry has expired; what was read in the future has not, whatever the expiry.
func TestPolicyExpired(t *testing.T) {
	for _, c := range times {
		at := now.Add(-c.ago)
		if NoLimits().Expired(now, at) || DefaultPolicy().WithLastAccessExpiry(math.MaxInt64).Expired(now, now.Add(-1000*time.Hour)) {
			t.Error("something has expired that never does")
		}
		if got := NoLimits().WithLastAccessExpiry(30*time.Second).Expired(now, at); got != c.over {
			t.Errorf("with an expiry of 30 s, read %v ago: expired is %v", c.ago, got)
		}
		if got := NoLimits().WithLastAccessExpiry(0).Expired(now, at); got != (c.ago >= 0) {
			t.Errorf("with an expiry of 0, read %v ago: expired is %v", c.ago, got)
		}
	}
	if NoLimits().WithLastAccessExpiry(0).Expired(now, now.AddDate(1000, 0, 0)) {
		t.Error("what was read in a thousand years has expired")
	}
	if !NoLimits().WithLastAccessExpiry(math.MaxInt64).Expired(now, now.AddDate(-1000, 0, 0)) {
		t.Error("what was read a thousand years ago has not expired, though no expiry can be so long")
	}
}

// TestPolicyCleanupDue: a cleaning is due when the last one was the frequency ago, where anything is limited; not before, and not after one in the future.
func TestPolicyCleanupDue(t *testing.T) {
	limited := NoLimits().WithMaxFileSize(1)
	for _, c := range times {
		last := now.Add(-c.ago)
		if limited.CleanupDue(now, last) {
			t.Errorf("without a frequency a cleaning is due %v after the last one", c.ago)
		}
		if NoLimits().WithCleanupFrequency(30*time.Second).CleanupDue(now, last) {
			t.Errorf("without a limit a cleaning is due %v after the last one", c.ago)
		}
		if got := limited.WithCleanupFrequency(30*time.Second).CleanupDue(now, last); got != c.over {
			t.Errorf("with a frequency of 30 s, %v after the last one: due is %v", c.ago, got)
		}
		if got := limited.WithCleanupFrequency(0).CleanupDue(now, last); got != (c.ago >= 0) {
			t.Errorf("with a frequency of 0, %v after the last one: due is %v", c.ago, got)
		}
	}
}

// TestPolicyCheck: a negative limit is refused, whichever it is, and anything else is fine.
func TestPolicyCheck(t *testing.T) {
	for what, p := range map[string]Policy{
		"size of the cache": DefaultPolicy().WithMaxCacheSize(-1), "size of a file": DefaultPolicy().WithMaxFileSize(math.MinInt64),
		"expiry": DefaultPolicy().WithLastAccessExpiry(-1), "frequency": NoLimits().WithCleanupFrequency(math.MinInt64),
	} {
		if err := p.Check(); !errors.Is(err, ErrPolicy) {
			t.Errorf("Check of a policy with a negative %s returned %v", what, err)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		if err := anyPolicy.Draw(t, "policy").Check(); err != nil {
			t.Fatalf("Check returned: %v", err)
		}
	})
}
