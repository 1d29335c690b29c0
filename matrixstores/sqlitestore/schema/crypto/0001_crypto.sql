-- Behind a column stands what it holds in a plain | in an encrypted store. A key is the parts by which a row is
-- found | their hash. n is the order in which rows were first stored: what replaces a row keeps it.
-- row is NULL | when it was written, and random: never used twice. data is a record | sealed.

-- What there is one of.
CREATE TABLE single (
	id   INTEGER PRIMARY KEY, -- which
	row  BLOB,
	data BLOB NOT NULL
) STRICT;
CREATE UNIQUE INDEX single_row ON single (row) WHERE row IS NOT NULL;

CREATE TABLE session (
	n         INTEGER PRIMARY KEY,
	id        BLOB    NOT NULL UNIQUE, -- key
	sender    BLOB    NOT NULL,        -- key: the other device's identity key
	created   INTEGER NOT NULL,        -- in milliseconds since 1970
	decrypted INTEGER NOT NULL,        -- in milliseconds since 1970
	used      INTEGER NOT NULL,        -- 0 or 1
	row       BLOB,
	data      BLOB    NOT NULL
) STRICT;
CREATE UNIQUE INDEX session_row ON session (row) WHERE row IS NOT NULL;
CREATE INDEX session_latest ON session (sender, decrypted);
CREATE INDEX session_newest ON session (sender, created) WHERE used = 1;

-- Olm messages that were decrypted.
CREATE TABLE olm_hash (
	hash BLOB    NOT NULL PRIMARY KEY, -- key: the sender's and the message's
	at   INTEGER NOT NULL              -- in milliseconds since 1970
) STRICT, WITHOUT ROWID;
CREATE INDEX olm_hash_at ON olm_hash (at);

-- Which Megolm message has used an index of a session.
CREATE TABLE message_index (
	session BLOB    NOT NULL, -- key: the sender's and the session's
	idx     INTEGER NOT NULL,
	seen    BLOB    NOT NULL, -- key: event and time
	PRIMARY KEY (session, idx)
) STRICT, WITHOUT ROWID;

-- Versions of the key backup, of which there are few.
CREATE TABLE backup_version (
	id   INTEGER PRIMARY KEY,
	key  BLOB NOT NULL UNIQUE,
	name BLOB NOT NULL, -- the version | sealed
	row  BLOB
) STRICT;
CREATE UNIQUE INDEX backup_version_row ON backup_version (row) WHERE row IS NOT NULL;

CREATE TABLE inbound (
	n       INTEGER PRIMARY KEY AUTOINCREMENT, -- so that a page never begins before a session that came later
	session BLOB    NOT NULL, -- key
	room    BLOB    NOT NULL, -- key
	sender  BLOB    NOT NULL, -- key
	known   INTEGER NOT NULL, -- crypto.SenderData
	backup  INTEGER NOT NULL, -- backup_version.id; 0: in none. It counts, and not what the record says
	fixed   INTEGER NOT NULL, -- 1: it is not redacted with others of its room or sender
	undated INTEGER NOT NULL, -- 1: it is not known when it was received
	expires INTEGER,          -- in milliseconds since 1970; NULL: never
	row     BLOB,
	data    BLOB    NOT NULL,
	UNIQUE (session, room)
) STRICT;
CREATE UNIQUE INDEX inbound_row ON inbound (row) WHERE row IS NOT NULL;
CREATE INDEX inbound_room ON inbound (room);
CREATE INDEX inbound_device ON inbound (sender, known);
CREATE INDEX inbound_backup ON inbound (backup);
CREATE INDEX inbound_expires ON inbound (expires) WHERE expires IS NOT NULL;
CREATE INDEX inbound_undated ON inbound (undated) WHERE undated = 1;

CREATE TABLE withheld (
	n       INTEGER PRIMARY KEY,
	session BLOB NOT NULL, -- key
	room    BLOB NOT NULL, -- key
	row     BLOB,
	data    BLOB NOT NULL,
	UNIQUE (session, room)
) STRICT;
CREATE UNIQUE INDEX withheld_row ON withheld (row) WHERE row IS NOT NULL;
CREATE INDEX withheld_room ON withheld (room);

CREATE TABLE outbound (
	n       INTEGER PRIMARY KEY,
	room    BLOB NOT NULL UNIQUE, -- key
	session BLOB NOT NULL,        -- key
	row     BLOB,
	data    BLOB NOT NULL
) STRICT;
CREATE UNIQUE INDEX outbound_row ON outbound (row) WHERE row IS NOT NULL;

-- Which device has got an outbound session.
CREATE TABLE shared (
	mark BLOB NOT NULL PRIMARY KEY -- key: user, identity key and session
) STRICT, WITHOUT ROWID;

CREATE TABLE device (
	n        INTEGER PRIMARY KEY,
	user     BLOB    NOT NULL, -- key
	device   BLOB    NOT NULL, -- key
	identity BLOB    NOT NULL, -- key: the user's and the identity key
	active   INTEGER NOT NULL, -- 0: marked as deleted
	row      BLOB,
	data     BLOB    NOT NULL,
	UNIQUE (user, device)
) STRICT;
CREATE UNIQUE INDEX device_row ON device (row) WHERE row IS NOT NULL;
CREATE INDEX device_active ON device (user, active);
CREATE INDEX device_identity ON device (identity, active);

CREATE TABLE tracked_user (
	n        INTEGER PRIMARY KEY,
	key      BLOB    NOT NULL UNIQUE,
	outdated INTEGER NOT NULL, -- 0 or 1. It counts, and not what the record says
	row      BLOB,
	data     BLOB    NOT NULL
) STRICT;
CREATE UNIQUE INDEX tracked_user_row ON tracked_user (row) WHERE row IS NOT NULL;
CREATE INDEX tracked_user_outdated ON tracked_user (outdated) WHERE outdated = 1;

CREATE TABLE identity (
	n    INTEGER PRIMARY KEY,
	key  BLOB NOT NULL UNIQUE,
	row  BLOB,
	data BLOB NOT NULL
) STRICT;
CREATE UNIQUE INDEX identity_row ON identity (row) WHERE row IS NOT NULL;

CREATE TABLE cross_signing (
	n     INTEGER PRIMARY KEY,
	user  BLOB NOT NULL, -- key
	usage BLOB NOT NULL, -- key
	row   BLOB,
	data  BLOB NOT NULL,
	UNIQUE (user, usage)
) STRICT;
CREATE UNIQUE INDEX cross_signing_row ON cross_signing (row) WHERE row IS NOT NULL;

CREATE TABLE signature (
	n      INTEGER PRIMARY KEY,
	signed BLOB NOT NULL, -- key: whose key, which, and who has signed it
	signer BLOB NOT NULL, -- key: who has signed it, and with which key
	row    BLOB,
	data   BLOB NOT NULL,
	UNIQUE (signed, signer)
) STRICT;
CREATE UNIQUE INDEX signature_row ON signature (row) WHERE row IS NOT NULL;
CREATE INDEX signature_signer ON signature (signer);

CREATE TABLE key_request (
	n    INTEGER PRIMARY KEY,
	id   BLOB    NOT NULL UNIQUE, -- key
	info BLOB    NOT NULL UNIQUE, -- key: what it asks for
	sent INTEGER NOT NULL,        -- 0 or 1
	row  BLOB,
	data BLOB    NOT NULL
) STRICT;
CREATE UNIQUE INDEX key_request_row ON key_request (row) WHERE row IS NOT NULL;
CREATE INDEX key_request_unsent ON key_request (sent) WHERE sent = 0;

CREATE TABLE secret (
	n    INTEGER PRIMARY KEY,
	key  BLOB NOT NULL UNIQUE,
	row  BLOB,
	data BLOB NOT NULL -- the secret | sealed
) STRICT;
CREATE UNIQUE INDEX secret_row ON secret (row) WHERE row IS NOT NULL;

CREATE TABLE inbox (
	n      INTEGER PRIMARY KEY,
	name   BLOB NOT NULL, -- key
	secret BLOB NOT NULL, -- key
	row    BLOB,
	data   BLOB NOT NULL,
	UNIQUE (name, secret)
) STRICT;
CREATE UNIQUE INDEX inbox_row ON inbox (row) WHERE row IS NOT NULL;
CREATE INDEX inbox_name ON inbox (name);

CREATE TABLE room_settings (
	n    INTEGER PRIMARY KEY,
	key  BLOB NOT NULL UNIQUE,
	row  BLOB,
	data BLOB NOT NULL
) STRICT;
CREATE UNIQUE INDEX room_settings_row ON room_settings (row) WHERE row IS NOT NULL;

CREATE TABLE bundle (
	n    INTEGER PRIMARY KEY,
	key  BLOB NOT NULL UNIQUE, -- of room and sender
	row  BLOB,
	data BLOB NOT NULL
) STRICT;
CREATE UNIQUE INDEX bundle_row ON bundle (row) WHERE row IS NOT NULL;

CREATE TABLE pending_bundle (
	n    INTEGER PRIMARY KEY,
	key  BLOB NOT NULL UNIQUE,
	row  BLOB,
	data BLOB NOT NULL
) STRICT;
CREATE UNIQUE INDEX pending_bundle_row ON pending_bundle (row) WHERE row IS NOT NULL;

CREATE TABLE downloaded (
	room BLOB NOT NULL PRIMARY KEY -- key
) STRICT, WITHOUT ROWID;

CREATE TABLE verification (
	n      INTEGER PRIMARY KEY,
	key    BLOB NOT NULL UNIQUE,
	device BLOB NOT NULL, -- key: the other user's and his device
	row    BLOB,
	data   BLOB NOT NULL
) STRICT;
CREATE UNIQUE INDEX verification_row ON verification (row) WHERE row IS NOT NULL;
CREATE INDEX verification_device ON verification (device);

CREATE TABLE custom (
	n    INTEGER PRIMARY KEY,
	key  BLOB NOT NULL UNIQUE,
	row  BLOB,
	data BLOB NOT NULL -- the value | sealed
) STRICT;
CREATE UNIQUE INDEX custom_row ON custom (row) WHERE row IS NOT NULL;
