package codec

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strconv"
	"strings"
)

// encoding/json says at which byte it failed, and of the names only a part. The
// path is found by reading the document once more, up to that byte.

// level is an array or an object that is open.
type level struct {
	t     reflect.Type // what it is decoded into; nil where that is not known
	array bool
	n     int    // which element of an array comes next, or is being read
	name  string // which member of an object is being read
	named bool   // false: a name comes next
}

// pathAt returns the place in the document whose token ends at offset, or
// holds it, and the type that is decoded there, nil where that is not known. t
// is the type of the whole document.
func pathAt(document []byte, offset int64, t reflect.Type) (path string, there reflect.Type) {
	d := json.NewDecoder(bytes.NewReader(document))
	d.UseNumber() // a number that is too large for a float64 is a token like any other
	var open []level
	here := func() reflect.Type {
		if len(open) == 0 {
			return known(t)
		}
		return known(open[len(open)-1].element())
	}
	for {
		token, err := d.Token()
		if err != nil {
			return pathOf(open), nil
		}
		found := d.InputOffset() >= offset
		if name, ok := token.(string); ok && atName(open) {
			top := &open[len(open)-1]
			top.name, top.named = name, true
			if found {
				return pathOf(open), top.nameType()
			}
			continue
		}
		switch delim, _ := token.(json.Delim); delim {
		case '{', '[':
			if !found {
				open = append(open, level{t: here(), array: delim == '['})
				continue
			}
		case '}', ']':
			open = open[:len(open)-1]
		}
		if found {
			return pathOf(open), here()
		}
		after(open)
	}
}

// atName says whether what comes next is the name of a member.
func atName(open []level) bool {
	return len(open) > 0 && !open[len(open)-1].array && !open[len(open)-1].named
}

// after goes on to what comes behind a whole value.
func after(open []level) {
	if len(open) == 0 {
		return
	}
	top := &open[len(open)-1]
	if top.array {
		top.n++
	} else {
		top.name, top.named = "", false
	}
}

// pathOf writes the path of what is being read. Of a document that is nested
// without end it writes the beginning.
func pathOf(open []level) string {
	const deepest = 32
	var b strings.Builder
	for i := range open {
		l := &open[i]
		switch {
		case i == deepest:
			b.WriteString("…")
			return b.String()
		case l.array:
			b.WriteByte('[')
			b.WriteString(strconv.Itoa(l.n))
			b.WriteByte(']')
		case l.named:
			if b.Len() > 0 {
				b.WriteByte('.')
			}
			if f, ok := field(l.t, l.name); ok {
				b.WriteString(f.name)
			} else {
				b.WriteByte('*')
			}
		}
	}
	return b.String()
}

// element returns the type of the element or the member that is being read.
func (l *level) element() reflect.Type {
	t := known(l.t)
	if t == nil {
		return nil
	}
	switch t.Kind() {
	case reflect.Slice, reflect.Array:
		if l.array {
			return t.Elem()
		}
	case reflect.Map:
		if !l.array {
			return t.Elem()
		}
	case reflect.Struct:
		if f, ok := field(t, l.name); ok && !l.array {
			return f.t
		}
	}
	return nil
}

// nameType returns the type of the names, which of a map may be numbers.
func (l *level) nameType() reflect.Type {
	if t := known(l.t); t != nil && t.Kind() == reflect.Map {
		return t.Key()
	}
	return nil
}

var unmarshaler = reflect.TypeFor[json.Unmarshaler]()

// known returns what pointers point to, or nil where the type decodes itself: nobody knows what its names mean.
func known(t reflect.Type) reflect.Type {
	for t != nil {
		if t.Implements(unmarshaler) || reflect.PointerTo(t).Implements(unmarshaler) {
			return nil
		}
		if t.Kind() != reflect.Pointer {
			return t
		}
		t = t.Elem()
	}
	return nil
}

// member is a field of a struct, under its name in JSON.
type member struct {
	name string
	t    reflect.Type
}

// field finds a member of a struct as encoding/json does: by its exact name, else whatever the case.
func field(t reflect.Type, name string) (found member, ok bool) {
	t = known(t)
	if t == nil || t.Kind() != reflect.Struct {
		return member{}, false
	}
	for _, f := range reflect.VisibleFields(t) {
		tag := f.Tag.Get("json")
		called, _, _ := strings.Cut(tag, ",")
		if tag == "-" || f.Anonymous && called == "" || !f.IsExported() {
			continue // an embedded struct's own fields are in the list
		}
		if called == "" {
			called = f.Name
		}
		if called == name {
			return member{called, f.Type}, true
		}
		if !ok && strings.EqualFold(called, name) {
			found, ok = member{called, f.Type}, true
		}
	}
	return found, ok
}
