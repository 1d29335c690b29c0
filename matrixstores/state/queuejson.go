package state

import (
	"encoding/json"
	"fmt"
	"reflect"

	"maunium.net/go/mautrix/id"

	"github.com/quiesce-go/quiesce/matrixstores/media"
)

// What is in the queues is stored as JSON, which outlives versions of a program: an
// object with the field "kind", whose texts never change, and the fields of the kind.

func (*EventRequest) requestKind() string     { return "event" }
func (*UploadRequest) requestKind() string    { return "media_upload" }
func (*RedactionRequest) requestKind() string { return "redaction" }

func (*InsecureDevices) wedgeKind() string      { return "insecure_devices" }
func (*IdentityViolations) wedgeKind() string   { return "identity_violations" }
func (*VerificationRequired) wedgeKind() string { return "cross_verification_required" }
func (*MissingMedia) wedgeKind() string         { return "missing_media_content" }
func (*InvalidMimeType) wedgeKind() string      { return "invalid_mime_type" }
func (*OtherWedge) wedgeKind() string           { return "generic_api_error" }

func (*EditEvent) dependentKind() string     { return "edit_event" }
func (*RedactEvent) dependentKind() string   { return "redact_event" }
func (*ReactEvent) dependentKind() string    { return "react_event" }
func (*UploadFile) dependentKind() string    { return "upload_file_or_thumbnail" }
func (*FinishUpload) dependentKind() string  { return "finish_upload" }
func (*FinishGallery) dependentKind() string { return "finish_gallery" }

func (*SentEvent) sentKind() string     { return "event" }
func (*SentMedia) sentKind() string     { return "media" }
func (*SentRedaction) sentKind() string { return "redaction" }

// MarshalRequest returns a request as JSON, for a store to keep. The errors are ErrKind, ErrNotJSON and ErrNotUTF8.
func MarshalRequest(r Request) ([]byte, error) {
	return marshalKind(r, Request.requestKind)
}

// UnmarshalRequest returns what MarshalRequest was given. The errors are ErrBroken and, for a kind that this program does not know, ErrKind.
func UnmarshalRequest(data []byte) (Request, error) {
	return unmarshalKind(data, func(kind string) Request {
		switch kind {
		case "event":
			return new(EventRequest)
		case "media_upload":
			return new(UploadRequest)
		case "redaction":
			return new(RedactionRequest)
		}
		return nil
	})
}

// MarshalWedgeError returns a reason as JSON, for a store to keep; nil for nil. The errors are ErrKind and ErrNotUTF8.
func MarshalWedgeError(e WedgeError) ([]byte, error) {
	if e == nil {
		return nil, nil
	}
	return marshalKind(e, WedgeError.wedgeKind)
}

// UnmarshalWedgeError returns what MarshalWedgeError was given: nil for nothing. The errors are ErrBroken and ErrKind.
func UnmarshalWedgeError(data []byte) (WedgeError, error) {
	if len(data) == 0 {
		return nil, nil
	}
	return unmarshalKind(data, func(kind string) WedgeError {
		switch kind {
		case "insecure_devices":
			return new(InsecureDevices)
		case "identity_violations":
			return new(IdentityViolations)
		case "cross_verification_required":
			return new(VerificationRequired)
		case "missing_media_content":
			return new(MissingMedia)
		case "invalid_mime_type":
			return new(InvalidMimeType)
		case "generic_api_error":
			return new(OtherWedge)
		}
		return nil
	})
}

// MarshalDependent returns what is to be done as JSON, for a store to keep. The errors are ErrKind, ErrNotJSON and ErrNotUTF8.
func MarshalDependent(d Dependent) ([]byte, error) {
	return marshalKind(d, Dependent.dependentKind)
}

// UnmarshalDependent returns what MarshalDependent was given. The errors are ErrBroken and ErrKind.
func UnmarshalDependent(data []byte) (Dependent, error) {
	return unmarshalKind(data, func(kind string) Dependent {
		switch kind {
		case "edit_event":
			return new(EditEvent)
		case "redact_event":
			return new(RedactEvent)
		case "react_event":
			return new(ReactEvent)
		case "upload_file_or_thumbnail", "upload_file_with_thumbnail": // the second is what it was called once
			return new(UploadFile)
		case "finish_upload":
			return new(FinishUpload)
		case "finish_gallery":
			return new(FinishGallery)
		}
		return nil
	})
}

// MarshalSentKey returns a key as JSON, for a store to keep. The errors are ErrKind, ErrNotJSON and ErrNotUTF8.
func MarshalSentKey(k SentKey) ([]byte, error) {
	return marshalKind(k, SentKey.sentKind)
}

// UnmarshalSentKey returns what MarshalSentKey was given. The errors are ErrBroken and ErrKind.
func UnmarshalSentKey(data []byte) (SentKey, error) {
	return unmarshalKind(data, func(kind string) SentKey {
		switch kind {
		case "event":
			return new(SentEvent)
		case "media":
			return new(SentMedia)
		case "redaction":
			return new(SentRedaction)
		}
		return nil
	})
}

// marshalKind writes the fields of v behind its kind.
func marshalKind[T comparable](v T, kind func(T) string) ([]byte, error) {
	var none T
	if v == none || reflect.ValueOf(v).IsNil() {
		return nil, ErrKind
	}
	if err := checkAllText(v); err != nil {
		return nil, err
	}
	if c, ok := any(v).(interface{ check() error }); ok {
		if err := c.check(); err != nil {
			return nil, err
		}
	}
	fields, err := marshal(v)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNotJSON, err)
	}
	out := append([]byte(`{"kind":"`), kind(v)...)
	out = append(out, '"')
	if len(fields) > len("{}") {
		out = append(out, ',')
	}
	return append(out, fields[1:]...), nil
}

// unmarshalKind reads the kind, and then its fields into what is made for it.
func unmarshalKind[T comparable](data []byte, of func(kind string) T) (v T, err error) {
	var none T
	var head struct {
		Kind string `json:"kind"`
	}
	if err := json.Unmarshal(data, &head); err != nil {
		return none, fmt.Errorf("state: a request: %w: %w", ErrBroken, err)
	}
	v = of(head.Kind)
	if v == none {
		return none, fmt.Errorf("state: a request: %w: %q", ErrKind, head.Kind)
	}
	if err := json.Unmarshal(data, v); err != nil {
		return none, fmt.Errorf("state: a request: %w: %w", ErrBroken, err)
	}
	return v, nil
}

func (r *EventRequest) check() error     { return checkContent(r.Type, r.Content) }
func (r *RedactionRequest) check() error { return needEventID(r.Redacts) }
func (d *EditEvent) check() error        { return checkContent(d.Type, d.Content) }
func (d *FinishGallery) check() error    { return checkObject(d.LocalEcho) }
func (k *SentEvent) check() error        { return needEventID(k.EventID) }
func (k *SentRedaction) check() error    { return needEventID(k.EventID) }

func (d *FinishUpload) check() error {
	if d.ExtraContent != nil {
		if err := checkObject(d.ExtraContent); err != nil {
			return err
		}
	}
	return checkObject(d.LocalEcho)
}

func checkContent(eventType string, content json.RawMessage) error {
	if eventType == "" {
		return ErrNoEventType
	}
	return checkObject(content)
}

func needEventID(e id.EventID) error {
	if e == "" {
		return ErrNoEventID
	}
	return nil
}

// cacheKey is a media.Request in JSON.
type cacheKey struct {
	URI      id.ContentURIString `json:"uri"`
	Method   media.Method        `json:"method,omitempty"`
	Width    int                 `json:"width,omitempty"`
	Height   int                 `json:"height,omitempty"`
	Animated bool                `json:"animated,omitempty"`
}

func cacheKeyOf(r media.Request) cacheKey {
	return cacheKey{r.URI, r.Format.Method, r.Format.Width, r.Format.Height, r.Format.Animated}
}

func (k cacheKey) request() media.Request {
	return media.Request{URI: k.URI, Format: media.Format{Method: k.Method, Width: k.Width, Height: k.Height, Animated: k.Animated}}
}

type uploadRequest struct {
	ContentType string         `json:"content_type"`
	CacheKey    cacheKey       `json:"cache_key"`
	Thumbnail   *MediaSource   `json:"thumbnail_source,omitempty"`
	RelatedTo   string         `json:"related_to"`
	Accumulated []UploadedFile `json:"accumulated,omitempty"`
}

// MarshalJSON writes the fields, without the kind.
func (r *UploadRequest) MarshalJSON() ([]byte, error) {
	return marshal(uploadRequest{r.ContentType, cacheKeyOf(r.CacheKey), r.Thumbnail, r.RelatedTo, r.Accumulated})
}

// UnmarshalJSON reads what MarshalJSON writes.
func (r *UploadRequest) UnmarshalJSON(data []byte) error {
	var in uploadRequest
	if err := json.Unmarshal(data, &in); err != nil {
		return err
	}
	*r = UploadRequest{in.ContentType, in.CacheKey.request(), in.Thumbnail, in.RelatedTo, in.Accumulated}
	return nil
}

type uploadFile struct {
	ContentType       string   `json:"content_type"`
	CacheKey          cacheKey `json:"cache_key"`
	RelatedTo         string   `json:"related_to"`
	ParentIsThumbnail *bool    `json:"parent_is_thumbnail_upload,omitempty"` // absent in what was stored before there were galleries: yes
}

// MarshalJSON writes the fields, without the kind.
func (d *UploadFile) MarshalJSON() ([]byte, error) {
	return marshal(uploadFile{d.ContentType, cacheKeyOf(d.CacheKey), d.RelatedTo, &d.ParentIsThumbnail})
}

// UnmarshalJSON reads what MarshalJSON writes. Without a word about it the parent is a thumbnail.
func (d *UploadFile) UnmarshalJSON(data []byte) error {
	var in uploadFile
	if err := json.Unmarshal(data, &in); err != nil {
		return err
	}
	*d = UploadFile{in.ContentType, in.CacheKey.request(), in.RelatedTo, in.ParentIsThumbnail == nil || *in.ParentIsThumbnail}
	return nil
}
