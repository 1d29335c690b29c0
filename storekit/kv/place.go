package kv

import (
	"bytes"
	"encoding/binary"

	"github.com/quiesce-go/quiesce/storekit/codec"
	"github.com/quiesce-go/quiesce/storekit/secret"
)

// How a namespace, a key and a value look in the table.

func valueAt(row []byte) secret.Place {
	return secret.Place{Table: table, Column: "value", Row: row}
}

func nameAt(row []byte) secret.Place {
	return secret.Place{Table: table, Column: "name", Row: row}
}

// name is what an encrypted store hashes and seals of a key: namespace and key
// together. So equal keys of two namespaces have different hashes, and a row
// that was moved is found out.
func (t *Table) name(key string) []byte {
	b := make([]byte, 0, binary.MaxVarintLen64+len(t.namespace)+len(key))
	b = binary.AppendUvarint(b, uint64(len(t.namespace)))
	b = append(b, t.namespace...)
	return append(b, key...)
}

// keyIn returns the key of such a name, if it is one of this namespace.
func (t *Table) keyIn(name []byte) (key string, ok bool) {
	rest, ok := bytes.CutPrefix(name, t.name(""))
	return string(rest), ok
}

func (t *Table) storedNamespace() ([]byte, error) {
	return t.codec.KeyString(table+".namespace", t.namespace)
}

// storedKeys returns the namespace and a key as they are stored.
func (t *Table) storedKeys(key string) (namespace, stored []byte, err error) {
	if namespace, err = t.storedNamespace(); err != nil {
		return nil, nil, err
	}
	if !t.codec.Encrypted() {
		return namespace, []byte(key), nil
	}
	stored, err = t.codec.Key(table+".key", t.name(key))
	return namespace, stored, err
}

// storedList returns the namespace, and many keys as the parameter of a statement.
func (t *Table) storedList(keys []string) (namespace []byte, list string, err error) {
	if namespace, err = t.storedNamespace(); err != nil {
		return nil, "", err
	}
	if !t.codec.Encrypted() {
		return namespace, codec.List(keys), nil
	}
	names := make([][]byte, len(keys))
	for i, key := range keys {
		names[i] = t.name(key)
	}
	list, err = codec.KeyList(t.codec, table+".key", names)
	return namespace, list, err
}

// content is what is stored of an entry.
type content struct{ value, name, row []byte }

// seal returns what is to be stored for a value, in the row that is there, or in a new one.
func (t *Table) seal(key string, value, row []byte) (s content, err error) {
	if row == nil {
		id := secret.NewRowID()
		row = id[:]
	}
	s.row = row
	if s.value, err = t.codec.Seal(valueAt(row), value); err != nil || !t.codec.Encrypted() {
		return s, err
	}
	s.name, err = t.codec.Seal(nameAt(row), t.name(key))
	return s, err
}

// open returns the value of the row that was found for key.
func (t *Table) open(key string, s content) ([]byte, error) {
	if t.codec.Encrypted() {
		found, err := t.openName(s)
		if err != nil {
			return nil, err
		}
		if found != key {
			return nil, errMoved()
		}
	}
	return t.codec.Open(valueAt(s.row), s.value)
}

// openName returns the key of a row in an encrypted store.
func (t *Table) openName(s content) (key string, err error) {
	name, err := t.codec.Open(nameAt(s.row), s.name)
	if err != nil {
		return "", err
	}
	key, ok := t.keyIn(name)
	if !ok {
		return "", errMoved()
	}
	return key, nil
}

// errMoved is the error for a row that is genuine, and stands where another one belongs.
func errMoved() error {
	return &codec.DecodeError{Table: table, Column: "name", Err: secret.ErrTampered}
}
