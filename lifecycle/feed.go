package lifecycle

// feed tells subscribers, and whoever waits for a change, of the latest state.
// It costs nothing while nobody listens, and a slow listener delays nobody:
// every listener has room for one state, which a newer one replaces. All
// methods are called with the owner's mutex held.
type feed struct {
	changed chan struct{} // closed at the next change; made when somebody waits
	subs    map[*subscriber]struct{}
}

type subscriber struct{ ch chan State }

func (f *feed) wait() <-chan struct{} {
	if f.changed == nil {
		f.changed = make(chan struct{})
	}
	return f.changed
}

// wake ends the waits without a change of state.
func (f *feed) wake() {
	if f.changed != nil {
		close(f.changed)
		f.changed = nil
	}
}

func (f *feed) publish(s State) {
	f.wake()
	for sub := range f.subs {
		sub.put(s)
	}
}

func (f *feed) subscribe(now State) *subscriber {
	sub := &subscriber{make(chan State, 1)}
	sub.ch <- now
	if f.subs == nil {
		f.subs = make(map[*subscriber]struct{})
	}
	f.subs[sub] = struct{}{}
	return sub
}

// unsubscribe forgets sub and closes its channel, once.
func (f *feed) unsubscribe(sub *subscriber) {
	if _, ok := f.subs[sub]; !ok {
		return
	}
	delete(f.subs, sub)
	if len(f.subs) == 0 {
		f.subs = nil
	}
	close(sub.ch)
}

func (s *subscriber) put(state State) {
	select {
	case <-s.ch: // an older state that was not fetched yet
	default:
	}
	s.ch <- state // never blocks: room for one, and only the owner of the mutex puts
}
