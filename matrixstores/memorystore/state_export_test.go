package memorystore

import "github.com/quiesce-go/quiesce/driver/memory"

// CustomValueIn is CustomValue as part of a transaction.
func (s *StateStore) CustomValueIn(t *memory.Txn, key string) (string, error) {
	row, there, err := customs.First(t, "id", textKey(key))
	if err != nil || !there {
		return "", err
	}
	return string(row.value), nil
}

// SetCustomValueIn is SetCustomValue as part of a transaction.
func (s *StateStore) SetCustomValueIn(t *memory.Txn, key, value string) error {
	return customs.Insert(t, &bytesRow{key, []byte(value)})
}
