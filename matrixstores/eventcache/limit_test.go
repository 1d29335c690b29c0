package eventcache

// What tests may set: lines of 64 MiB take long under the race detector.

// SetLimit says how long a line can be.
func (e *Encoder) SetLimit(n int) { e.limit = n }

// SetLimit says how long a line can be.
func (d *Decoder) SetLimit(n int) { d.limit = n }
