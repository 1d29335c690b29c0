package lifecycle

import (
	"reflect"
	"runtime"
	"testing"
	"time"
)

// A paused store keeps less than its Report. Whatever a Report gets one day has to come back from that.
func TestReportOfAPausedStoreComesBackWhole(t *testing.T) {
	for _, op := range []string{"pause", "close"} {
		r := &Report{}
		fillIn(reflect.ValueOf(r).Elem())
		r.Store, r.Op, r.Start = "rooms", op, time.Now()
		r.Leftovers, r.Warnings, r.Err, r.closing = nil, nil, nil, nil // of an incident, whose report is kept as it is
		want := *r
		kept := packReport(r)
		if kept.full != nil {
			t.Fatalf("the report of an ordinary %s is kept whole", op)
		}
		if kept.unpack("rooms") != r {
			t.Error("whoever still has the report gets another one")
		}
		runtime.KeepAlive(r)
		r = nil
		for range 3 {
			runtime.GC()
		}
		if kept.seen.Value() != nil {
			t.Error("the whole report is kept though nobody has it")
		}
		got := kept.unpack("rooms")
		if !reflect.DeepEqual(*got, want) {
			t.Errorf("the report comes back as\n%+v, and was\n%+v", *got, want)
		}
		if kept.unpack("rooms") != got {
			t.Error("two calls while the first report is in use return two reports")
		}
		runtime.KeepAlive(got)
	}
}

func TestReportOfAnIncidentIsKeptAsItIs(t *testing.T) {
	for _, r := range []*Report{
		{Leftovers: []string{"a-wal"}}, {Warnings: []string{"busy"}}, {Err: ErrMissing}, {closing: ErrMissing},
		{CheckpointResult: CheckpointResult{Mode: "a mode with a name that is longer than anybody should need"}},
	} {
		if packReport(r).full != r {
			t.Errorf("%+v was packed", r)
		}
	}
}

// fillIn gives every field that is not zero by its type a value of its own.
func fillIn(v reflect.Value) {
	for i := range v.NumField() {
		switch f := v.Field(i); f.Kind() {
		case reflect.Int, reflect.Int64:
			f.SetInt(int64(i) - 3<<i)
		case reflect.Uint8, reflect.Uint64:
			f.SetUint(uint64(i))
		case reflect.Bool:
			f.SetBool(true)
		case reflect.String:
			f.SetString(v.Type().Field(i).Name)
		case reflect.Struct:
			if f.Type() != reflect.TypeFor[time.Time]() {
				fillIn(f)
			}
		}
	}
}
