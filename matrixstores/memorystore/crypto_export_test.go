package memorystore

import "github.com/quiesce-go/quiesce/driver/memory"

// GetIn is CustomValue as part of a transaction.
func (s *Crypto) GetIn(t *memory.Txn, k string) (string, error) {
	row, there, err := cryptoCustoms.First(t, "id", textKey(k))
	if err != nil || !there {
		return "", err
	}
	return string(row.data), nil
}

// PutIn is SetCustomValue as part of a transaction.
func (s *Crypto) PutIn(t *memory.Txn, k, value string) error {
	tx := &cryptoTx{s, t}
	return tx.put(cryptoCustoms, &cryptoRow{id: textKey(k), data: []byte(value)}, nil)
}
