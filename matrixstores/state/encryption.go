package state

import (
	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"
)

// IsEncrypted says whether the room's RoomInfo remembers that it is encrypted with Megolm.
func (info *RoomInfo) IsEncrypted() bool {
	return info != nil && info.Encryption != nil && info.Encryption.Algorithm == id.AlgorithmMegolmV1
}

// IsEncryption says whether it is an m.room.encryption event that says that a room is encrypted with Megolm.
func (e StateEvent) IsEncryption() bool {
	if e.Type != event.StateEncryption.Type || e.StateKey != "" {
		return false
	}
	content, err := Typed[event.EncryptionEventContent]{e}.Content()
	return err == nil && content.Algorithm == id.AlgorithmMegolmV1
}
