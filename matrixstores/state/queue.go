package state

import (
	"encoding/json"
	"fmt"
	"strings"

	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"

	"github.com/quiesce-go/quiesce/matrixstores/media"
)

// QueuedRequest is something that a client has yet to send to a room.
type QueuedRequest struct {
	TransactionID string // unique among the requests of the room
	Request       Request
	Error         WedgeError // why it cannot be sent, until somebody does something about it; nil: it can
	Priority      int        // a higher one is sent earlier
	CreatedAt     int64      // in milliseconds since 1970; 0: the time at which it is saved
}

// Check returns why a store cannot keep it: an error that matches ErrNoTransactionID, ErrKind, ErrNotJSON or ErrNotUTF8; or nil.
func (q *QueuedRequest) Check() error {
	if q.TransactionID == "" {
		return ErrNoTransactionID
	}
	if err := checkText(q.TransactionID); err != nil {
		return err
	}
	if _, err := MarshalWedgeError(q.Error); err != nil {
		return err
	}
	_, err := MarshalRequest(q.Request)
	return err
}

// Request is what is to be sent: one of *EventRequest, *UploadRequest and *RedactionRequest.
type Request interface {
	requestKind() string
}

// EventRequest is an event.
type EventRequest struct {
	Type    string          `json:"type"`
	Content json.RawMessage `json:"content"` // one JSON object
}

// UploadRequest is a file that is to be uploaded. Its bytes are in the media store.
type UploadRequest struct {
	ContentType string         // its MIME type
	CacheKey    media.Request  // under which it is in the media store
	Thumbnail   *MediaSource   // that was uploaded before; nil: none
	RelatedTo   string         // the transaction id of the event that it is for
	Accumulated []UploadedFile // of a gallery: what was uploaded before
}

// RedactionRequest is a redaction.
type RedactionRequest struct {
	Redacts id.EventID `json:"redacts"`
	Reason  string     `json:"reason,omitempty"`
}

// MediaSource is where a file is, encrypted or not.
type MediaSource struct {
	URL  id.ContentURIString      `json:"url,omitempty"`  // of a plain file
	File *event.EncryptedFileInfo `json:"file,omitempty"` // of an encrypted one
}

// UploadedFile is a file that was uploaded, with its thumbnail.
type UploadedFile struct {
	File      MediaSource  `json:"file"`
	Thumbnail *MediaSource `json:"thumbnail,omitempty"`
}

// WedgeError is a reason why a request cannot be sent by trying again: one of
// *InsecureDevices, *IdentityViolations, *VerificationRequired, *MissingMedia, *InvalidMimeType and *OtherWedge.
type WedgeError interface {
	error
	wedgeKind() string
}

// InsecureDevices says that there are devices in the room with which the keys must not be shared.
type InsecureDevices struct {
	Devices map[id.UserID][]id.DeviceID `json:"devices"`
}

// IdentityViolations says that users were verified and are not any more.
type IdentityViolations struct {
	Users []id.UserID `json:"users"`
}

// VerificationRequired says that this device has to be verified first.
type VerificationRequired struct{}

// MissingMedia says that the file is not in the media store any more.
type MissingMedia struct{}

// InvalidMimeType says that the file's type is none.
type InvalidMimeType struct {
	MimeType string `json:"mime_type"`
}

// OtherWedge is any other reason.
type OtherWedge struct {
	Message string `json:"message"`
}

// Error says how many users have such devices.
func (e *InsecureDevices) Error() string {
	return fmt.Sprintf("there are insecure devices in the room, of %d users", len(e.Devices))
}

// Error says how many users it is about.
func (e *IdentityViolations) Error() string {
	return fmt.Sprintf("%d users were verified and are not any more", len(e.Users))
}

// Error says it.
func (*VerificationRequired) Error() string { return "this device has to be verified first" }

// Error says it.
func (*MissingMedia) Error() string { return "the file is not in the media store any more" }

// Error names the type.
func (e *InvalidMimeType) Error() string { return fmt.Sprintf("%q is no type of a file", e.MimeType) }

// Error returns the message.
func (e *OtherWedge) Error() string { return strings.ToValidUTF8(e.Message, "\uFFFD") }

// DependentRequest is something that a client wants to do with what another request is to become.
type DependentRequest struct {
	TransactionID string // its own, unique among the dependent requests of the room
	Parent        string // the transaction id of the request that it depends on
	ParentKey     SentKey
	Dependent     Dependent
	CreatedAt     int64 // in milliseconds since 1970; 0: the time at which it is saved
}

// Ready says whether the parent was sent: what it has become is then in ParentKey.
func (d *DependentRequest) Ready() bool { return d.ParentKey != nil }

// IsOwnEvent says whether it becomes an event of its own in the timeline, and no change of its parent.
func (d *DependentRequest) IsOwnEvent() bool {
	switch d.Dependent.(type) {
	case *FinishUpload, *FinishGallery:
		return true
	default:
		return false
	}
}

// Check returns why a store cannot keep it: an error that matches ErrNoTransactionID, ErrKind, ErrNotJSON or ErrNotUTF8; or nil.
func (d *DependentRequest) Check() error {
	if d.TransactionID == "" || d.Parent == "" {
		return ErrNoTransactionID
	}
	if err := checkText(d.TransactionID, d.Parent); err != nil {
		return err
	}
	if d.ParentKey != nil {
		if _, err := MarshalSentKey(d.ParentKey); err != nil {
			return err
		}
	}
	_, err := MarshalDependent(d.Dependent)
	return err
}

// Dependent is what is to be done: one of *EditEvent, *RedactEvent, *ReactEvent, *UploadFile, *FinishUpload and *FinishGallery.
type Dependent interface {
	dependentKind() string
}

// EditEvent gives the event another content.
type EditEvent struct {
	Type    string          `json:"type"`
	Content json.RawMessage `json:"content"` // one JSON object
}

// RedactEvent redacts the event, or does not send it at all.
type RedactEvent struct{}

// ReactEvent reacts to the event.
type ReactEvent struct {
	Key string `json:"key"`
}

// UploadFile uploads a file, or its thumbnail, after another one.
type UploadFile struct {
	ContentType       string
	CacheKey          media.Request
	RelatedTo         string // the transaction id of the event that it is for
	ParentIsThumbnail bool   // the parent uploads the thumbnail of this file; otherwise another file of a gallery
}

// FinishUpload sends the event of a file when that is uploaded.
type FinishUpload struct {
	LocalEcho    json.RawMessage `json:"local_echo"`  // the content of the event, with the names in the media store in it
	FileUpload   string          `json:"file_upload"` // the transaction id of the file's upload
	Thumbnail    *ThumbnailInfo  `json:"thumbnail_info,omitempty"`
	ExtraContent json.RawMessage `json:"extra_content,omitempty"` // further fields of the content, one JSON object
}

// FinishGallery sends the event of several files when all are uploaded.
type FinishGallery struct {
	LocalEcho json.RawMessage `json:"local_echo"`
	Items     []GalleryItem   `json:"items"`
}

// GalleryItem is one file of a gallery.
type GalleryItem struct {
	FileUpload string         `json:"file_upload"`
	Thumbnail  *ThumbnailInfo `json:"thumbnail_info,omitempty"`
}

// ThumbnailInfo is what is known of a thumbnail whose upload is awaited.
type ThumbnailInfo struct {
	TransactionID string `json:"txn,omitempty"` // of its upload
	Width         int    `json:"width,omitempty"`
	Height        int    `json:"height,omitempty"`
}

// SentKey is what a request has become on the server: one of *SentEvent, *SentMedia and *SentRedaction.
type SentKey interface {
	sentKind() string
}

// SentEvent is an event.
type SentEvent struct {
	EventID id.EventID      `json:"event_id"`
	Type    string          `json:"type,omitempty"`
	Content json.RawMessage `json:"content,omitempty"` // as it was sent
}

// SentMedia is a file.
type SentMedia struct {
	File        MediaSource    `json:"file"`
	Thumbnail   *MediaSource   `json:"thumbnail,omitempty"`
	Accumulated []UploadedFile `json:"accumulated,omitempty"`
}

// SentRedaction is a redaction.
type SentRedaction struct {
	EventID id.EventID `json:"event_id"`
	Redacts id.EventID `json:"redacts"`
	Reason  string     `json:"reason,omitempty"`
}
