package state

import (
	"time"

	"maunium.net/go/mautrix/id"
)

// ComposerDraft is what a user has begun to write.
type ComposerDraft struct {
	PlainText string  `json:"plain_text"`
	HTML      *string `json:"html_text,omitempty"` // nil: there is only the plain text

	Type  DraftType  `json:"draft_type"`
	Event id.EventID `json:"event_id,omitempty"` // that is replied to, or edited; none for a new message

	Attachments []DraftAttachment `json:"attachments,omitempty"`
}

// DraftType says what a draft is to become. Its texts are stored, and never change.
type DraftType string

// The types of drafts.
const (
	DraftMessage DraftType = "new_message"
	DraftReply   DraftType = "reply"
	DraftEdit    DraftType = "edit"
)

// DraftAttachment is a file that is to be sent with a draft. The bytes are in it.
type DraftAttachment struct {
	Kind     AttachmentKind `json:"kind"`
	Filename string         `json:"filename,omitempty"`
	MimeType string         `json:"mime_type,omitempty"`
	Size     int64          `json:"size,omitempty"` // in bytes
	Data     []byte         `json:"data"`

	// Of pictures and videos.
	Width    int    `json:"width,omitempty"` // in pixels
	Height   int    `json:"height,omitempty"`
	BlurHash string `json:"blurhash,omitempty"`

	// Of videos and sounds.
	Duration time.Duration `json:"duration,omitempty"`
	Waveform []int         `json:"waveform,omitempty"`

	Thumbnail *DraftThumbnail `json:"thumbnail,omitempty"`
}

// AttachmentKind says what an attachment is. Its texts are stored, and never change.
type AttachmentKind string

// The kinds of attachments.
const (
	AttachedImage AttachmentKind = "image"
	AttachedVideo AttachmentKind = "video"
	AttachedAudio AttachmentKind = "audio"
	AttachedFile  AttachmentKind = "file"
)

// DraftThumbnail is a small picture of an attachment.
type DraftThumbnail struct {
	Filename string `json:"filename,omitempty"`
	MimeType string `json:"mime_type,omitempty"`
	Size     int64  `json:"size,omitempty"`
	Width    int    `json:"width,omitempty"`
	Height   int    `json:"height,omitempty"`
	Data     []byte `json:"data"`
}
