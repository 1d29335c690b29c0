-- Behind a column stands what it holds in a plain | in an encrypted store. n is the order in
-- which rows were first stored: what replaces a row keeps it. row is NULL | when it was written, and random: never used twice.

-- Room ids, once for all tables. Others have the number only.
CREATE TABLE room_id (
	id   INTEGER PRIMARY KEY,
	key  BLOB NOT NULL UNIQUE, -- the id | its hash
	name BLOB NOT NULL,        -- the id | sealed
	row  BLOB
) STRICT;
CREATE UNIQUE INDEX room_id_row ON room_id (row) WHERE row IS NOT NULL;

-- Types that many rows share: of state events, of rooms' account data, of receipts.
CREATE TABLE type (
	id  INTEGER PRIMARY KEY,
	key BLOB NOT NULL UNIQUE -- kind and type | its hash
) STRICT;

CREATE TABLE kv (
	n    INTEGER PRIMARY KEY,
	key  BLOB NOT NULL UNIQUE, -- ValueKey.Bytes | its hash
	room INTEGER,              -- NULL: it belongs to no room
	row  BLOB,
	data BLOB NOT NULL         -- the value | sealed
) STRICT;
CREATE UNIQUE INDEX kv_row ON kv (row) WHERE row IS NOT NULL;
CREATE INDEX kv_room ON kv (room) WHERE room IS NOT NULL;

CREATE TABLE custom (
	n    INTEGER PRIMARY KEY,
	key  BLOB NOT NULL UNIQUE, -- the key | its hash
	row  BLOB,
	data BLOB NOT NULL
) STRICT;
CREATE UNIQUE INDEX custom_row ON custom (row) WHERE row IS NOT NULL;

CREATE TABLE account_data (
	n    INTEGER PRIMARY KEY,
	key  BLOB NOT NULL UNIQUE, -- the type | its hash
	row  BLOB,
	data BLOB NOT NULL
) STRICT;
CREATE UNIQUE INDEX account_data_row ON account_data (row) WHERE row IS NOT NULL;

CREATE TABLE room_account_data (
	n    INTEGER PRIMARY KEY,
	room INTEGER NOT NULL,
	type INTEGER NOT NULL,
	row  BLOB,
	data BLOB NOT NULL,
	UNIQUE (room, type)
) STRICT;
CREATE UNIQUE INDEX room_account_data_row ON room_account_data (row) WHERE row IS NOT NULL;

CREATE TABLE presence (
	n    INTEGER PRIMARY KEY,
	key  BLOB NOT NULL UNIQUE, -- the user | its hash
	row  BLOB,
	data BLOB NOT NULL
) STRICT;
CREATE UNIQUE INDEX presence_row ON presence (row) WHERE row IS NOT NULL;

CREATE TABLE global_profile (
	n    INTEGER PRIMARY KEY,
	key  BLOB NOT NULL UNIQUE, -- the user | its hash
	row  BLOB,
	data BLOB NOT NULL
) STRICT;
CREATE UNIQUE INDEX global_profile_row ON global_profile (row) WHERE row IS NOT NULL;

-- What is known of rooms as a whole, with the numbers by which lists are filtered and ordered.
CREATE TABLE room (
	n             INTEGER PRIMARY KEY AUTOINCREMENT, -- so that a page never begins before a room that came later
	room          INTEGER NOT NULL UNIQUE,
	state         INTEGER NOT NULL, -- state.RoomState
	flags         INTEGER NOT NULL, -- state.RoomFlags
	encrypted     INTEGER NOT NULL, -- 0 or 1: RoomInfo.IsEncrypted
	recency       INTEGER NOT NULL,
	notifications INTEGER NOT NULL,
	highlights    INTEGER NOT NULL,
	row           BLOB,
	data          BLOB NOT NULL     -- RoomInfo as JSON | sealed
) STRICT;
CREATE UNIQUE INDEX room_row ON room (row) WHERE row IS NOT NULL;
CREATE INDEX room_recency ON room (recency DESC, n, state, flags);
CREATE INDEX room_notifications ON room (notifications DESC, recency DESC, n, state, flags);
CREATE INDEX room_highlights ON room (highlights DESC, recency DESC, n, state, flags);
CREATE INDEX room_direct ON room (flags & 1) WHERE flags & 1 = 1; -- state.FlagDirect

CREATE TABLE state (
	n        INTEGER PRIMARY KEY,
	room     INTEGER NOT NULL,
	type     INTEGER NOT NULL,
	key      BLOB    NOT NULL, -- the state key | its hash; of a member event that of member.user
	stripped INTEGER NOT NULL, -- 0 or 1
	event    BLOB,             -- the event's id | its hash; NULL: it has none, or is stripped
	row      BLOB,
	data     BLOB    NOT NULL, -- type, state key and event | sealed
	UNIQUE (room, type, key)
) STRICT;
CREATE UNIQUE INDEX state_row ON state (row) WHERE row IS NOT NULL;
CREATE INDEX state_event ON state (room, event) WHERE event IS NOT NULL;
CREATE INDEX state_stripped ON state (room) WHERE stripped = 1;

CREATE TABLE member (
	n          INTEGER PRIMARY KEY AUTOINCREMENT, -- so that a page never begins before a member who came later
	room       INTEGER NOT NULL,
	user       BLOB    NOT NULL, -- the id | its hash
	membership INTEGER NOT NULL, -- state.Memberships; 0: none of the five
	stripped   INTEGER NOT NULL, -- 0 or 1
	name       BLOB,             -- the NameKey | its hash; NULL: none that counts
	row        BLOB,
	data       BLOB    NOT NULL, -- the member | sealed
	UNIQUE (room, user)
) STRICT;
CREATE UNIQUE INDEX member_row ON member (row) WHERE row IS NOT NULL;
CREATE INDEX member_membership ON member (room, membership, n);
CREATE INDEX member_stripped ON member (room) WHERE stripped = 1;
CREATE INDEX member_name ON member (room, name) WHERE name IS NOT NULL;
CREATE INDEX member_user ON member (user, membership, n);

CREATE TABLE profile (
	n     INTEGER PRIMARY KEY,
	room  INTEGER NOT NULL,
	user  BLOB    NOT NULL, -- the id | its hash
	event BLOB,             -- the id of the event that it came from | its hash; NULL: it has none
	row   BLOB,
	data  BLOB    NOT NULL, -- user and profile as JSON | sealed
	UNIQUE (room, user)
) STRICT;
CREATE UNIQUE INDEX profile_row ON profile (row) WHERE row IS NOT NULL;
CREATE INDEX profile_event ON profile (room, event) WHERE event IS NOT NULL;

CREATE TABLE receipt (
	n      INTEGER PRIMARY KEY,
	room   INTEGER NOT NULL,
	user   BLOB    NOT NULL, -- the id | its hash
	type   INTEGER NOT NULL,
	thread BLOB    NOT NULL, -- ReceiptThread.Key | its hash
	event  BLOB    NOT NULL, -- the id | its hash
	row    BLOB,
	data   BLOB    NOT NULL, -- the receipt | sealed
	UNIQUE (room, user, type, thread)
) STRICT;
CREATE UNIQUE INDEX receipt_row ON receipt (row) WHERE row IS NOT NULL;
CREATE INDEX receipt_event ON receipt (room, event, type, thread);

-- Users that were given for a name: the names of members are in member.
CREATE TABLE name (
	n    INTEGER PRIMARY KEY,
	room INTEGER NOT NULL,
	name BLOB    NOT NULL, -- the NameKey | its hash
	row  BLOB,
	data BLOB    NOT NULL, -- the users | sealed
	UNIQUE (room, name)
) STRICT;
CREATE UNIQUE INDEX name_row ON name (row) WHERE row IS NOT NULL;

CREATE TABLE send_queue (
	n        INTEGER PRIMARY KEY,
	room     INTEGER NOT NULL,
	txn      BLOB    NOT NULL, -- the transaction id | its hash
	priority INTEGER NOT NULL,
	created  INTEGER NOT NULL, -- in milliseconds since 1970
	row      BLOB,
	content  BLOB    NOT NULL, -- transaction id and request | sealed
	error    BLOB,             -- NULL: it can be sent; the reason as JSON | sealed
	UNIQUE (room, txn)
) STRICT;
CREATE UNIQUE INDEX send_queue_row ON send_queue (row) WHERE row IS NOT NULL;
CREATE INDEX send_queue_order ON send_queue (room, priority DESC, n);

CREATE TABLE dependent (
	n       INTEGER PRIMARY KEY,
	room    INTEGER NOT NULL,
	txn     BLOB    NOT NULL, -- its own transaction id | its hash
	parent  BLOB    NOT NULL, -- that of the request that it depends on | its hash
	created INTEGER NOT NULL, -- in milliseconds since 1970
	row     BLOB,
	content BLOB    NOT NULL, -- both transaction ids and what is to be done | sealed
	key     BLOB,             -- NULL: the parent was not sent yet; what it has become, as JSON | sealed
	UNIQUE (room, txn)
) STRICT;
CREATE UNIQUE INDEX dependent_row ON dependent (row) WHERE row IS NOT NULL;
CREATE INDEX dependent_parent ON dependent (room, parent);
CREATE INDEX dependent_order ON dependent (room, n);

CREATE TABLE subscription (
	n      INTEGER PRIMARY KEY,
	room   INTEGER NOT NULL,
	root   BLOB    NOT NULL, -- the id | its hash
	status INTEGER NOT NULL, -- 1: automatic, 2: manual, 3: unsubscribed
	stamp  INTEGER,          -- NULL: it has none
	UNIQUE (room, root)
) STRICT;
