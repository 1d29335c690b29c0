package lifecycle

import "context"

// Policy says what happens to work that is asked of a store while it is not active.
type Policy uint8

const (
	// Fail refuses it at once with ErrPaused. This is the default.
	Fail Policy = iota
	// Wait lets it wait for Resume, bounded by its context or, where that has
	// no deadline, by the store's Timeout. Only outermost calls wait: inside an
	// operation of the same store a refused call fails at once, since the pause
	// waits for that operation.
	Wait
)

// String returns "fail" or "wait".
func (p Policy) String() string {
	if p == Wait {
		return "wait"
	}
	return "fail"
}

type (
	policyKey struct{}
	labelKey  struct{}
)

// WithPolicy sets the policy for the operations under ctx, whatever the
// store's own is. It is read only while a store is not active.
func WithPolicy(ctx context.Context, p Policy) context.Context {
	return context.WithValue(ctx, policyKey{}, p)
}

// WithLabel names the operations under ctx in a HeldError and in Holders.
// Reading the label costs nothing until it is reported.
func WithLabel(ctx context.Context, label string) context.Context {
	return context.WithValue(ctx, labelKey{}, label)
}

func labelOf(ctx context.Context) string {
	if ctx == nil {
		return ""
	}
	label, _ := ctx.Value(labelKey{}).(string)
	return label
}

func policyOf(ctx context.Context, store Policy) Policy {
	if p, ok := ctx.Value(policyKey{}).(Policy); ok {
		return p
	}
	return store
}
