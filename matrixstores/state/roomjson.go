package state

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"sync"
)

// A RoomInfo is stored as JSON, and by programs of several versions in turn: what a
// newer one has added is kept by an older one, which does not know what it is.

// roomInfo is RoomInfo without its methods.
type roomInfo RoomInfo

// knownFields returns the names of the fields of a RoomInfo in JSON.
var knownFields = sync.OnceValue(func() map[string]bool {
	fields := map[string]bool{}
	for _, f := range reflect.VisibleFields(reflect.TypeFor[roomInfo]()) {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		fields[name] = true
	}
	return fields
})

// MarshalJSON writes the fields, and those in Extra behind them.
func (info *RoomInfo) MarshalJSON() ([]byte, error) {
	out := *info
	out.Version = RoomInfoVersion
	data, err := marshal((*roomInfo)(&out))
	if err != nil || len(info.Extra) == 0 {
		return data, err
	}
	data = bytes.TrimSuffix(data, []byte("}"))
	for _, field := range sortedKeys(info.Extra) {
		if knownFields()[field] {
			continue
		}
		name, err := marshal(field)
		if err != nil {
			return nil, err
		}
		data = append(append(append(append(data, ','), name...), ':'), info.Extra[field]...)
	}
	return append(data, '}'), nil
}

// UnmarshalJSON reads what MarshalJSON writes. The errors match ErrNewer and ErrBroken.
func (info *RoomInfo) UnmarshalJSON(data []byte) error {
	// Most of the time every field is known, and one pass is enough.
	var in roomInfo
	strict := json.NewDecoder(bytes.NewReader(data))
	strict.DisallowUnknownFields()
	if strict.Decode(&in) == nil && in.Version <= RoomInfoVersion && strict.InputOffset() == int64(len(data)) {
		*info = RoomInfo(in)
		return nil
	}

	var head struct {
		Version int `json:"version"`
	}
	if json.Unmarshal(data, &head) == nil && head.Version > RoomInfoVersion {
		return fmt.Errorf("%w: a room's information, version %d", ErrNewer, head.Version)
	}
	in = roomInfo{}
	if err := json.Unmarshal(data, &in); err != nil {
		if errors.Is(err, ErrBroken) {
			return err
		}
		return fmt.Errorf("%w: a room's information: %w", ErrBroken, err)
	}
	all := object(data)
	for field := range all {
		if knownFields()[field] {
			delete(all, field)
		}
	}
	if len(all) > 0 {
		in.Extra = all
	}
	*info = RoomInfo(in)
	return nil
}
