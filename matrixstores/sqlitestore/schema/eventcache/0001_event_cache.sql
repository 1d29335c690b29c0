-- Behind a column stands what it holds in a plain | in an encrypted store.
CREATE TABLE room (
	id   INTEGER PRIMARY KEY,
	key  BLOB NOT NULL UNIQUE, -- the id | its hash
	name BLOB NOT NULL,        -- the id | sealed
	row  BLOB NOT NULL UNIQUE  -- random, and never used twice
) STRICT;

-- Names that many rows share: types of events, and of relations. They are no foreign keys of an event:
-- whoever changes one of these in a row would have SQLite write a journal of the statement.
CREATE TABLE name (
	id  INTEGER PRIMARY KEY,
	key BLOB NOT NULL UNIQUE -- kind and name | its hash
) STRICT;

CREATE TABLE event (
	id         INTEGER PRIMARY KEY,                          -- in the order in which events were first stored
	room       INTEGER NOT NULL REFERENCES room (id),
	event_id   BLOB    NOT NULL,                             -- the id | its hash
	type       INTEGER,                                      -- NULL: not known
	session    BLOB,                                         -- the id | its hash; NULL: none
	relates_to BLOB,                                         -- the id | its hash, other than that of event_id; NULL: to nothing
	rel_type   INTEGER,
	size       INTEGER NOT NULL,                             -- of Raw, in bytes
	stored     INTEGER NOT NULL,                             -- when it was last stored, in milliseconds since 1970
	row        BLOB,                                         -- NULL | random, and never used twice
	content    BLOB    NOT NULL,                             -- the whole event | sealed
	UNIQUE (room, event_id)
) STRICT;
CREATE UNIQUE INDEX event_row ON event (row) WHERE row IS NOT NULL;
CREATE INDEX event_relation ON event (room, relates_to, rel_type) WHERE relates_to IS NOT NULL;
-- The type first: so a name that no event has is found, too.
CREATE INDEX event_type ON event (type, room);
CREATE INDEX event_rel_type ON event (rel_type) WHERE rel_type IS NOT NULL;
CREATE INDEX event_session ON event (room, session) WHERE session IS NOT NULL;
CREATE INDEX event_stored ON event (stored);

-- Linked chunks, with chunks or without.
CREATE TABLE list (
	id         INTEGER PRIMARY KEY, -- in the order in which they became known
	room       INTEGER NOT NULL REFERENCES room (id),
	kind       INTEGER NOT NULL,    -- eventcache.Kind
	key        BLOB NOT NULL UNIQUE, -- LinkedChunkID.Key | its hash
	name       BLOB NOT NULL,       -- LinkedChunkID.Key | sealed
	row        BLOB NOT NULL UNIQUE
) STRICT;
CREATE INDEX list_room ON list (room, kind);

CREATE TABLE chunk (
	list     INTEGER NOT NULL REFERENCES list (id),
	id       INTEGER NOT NULL,
	previous INTEGER, -- NULL: it is the first
	next     INTEGER, -- NULL: it is the last
	gap      BLOB,    -- NULL: events; the token | sealed
	row      BLOB,    -- of a gap: random, and never used twice
	PRIMARY KEY (list, id)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX chunk_row ON chunk (row) WHERE row IS NOT NULL;
-- The end of a chain, and what is before a chunk.
CREATE INDEX chunk_next ON chunk (list, next);

-- Which events are in a chunk, in their order.
CREATE TABLE item (
	list     INTEGER NOT NULL,
	chunk    INTEGER NOT NULL,
	position INTEGER NOT NULL,
	event    INTEGER NOT NULL REFERENCES event (id),
	PRIMARY KEY (list, chunk, position),
	FOREIGN KEY (list, chunk) REFERENCES chunk (list, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX item_event ON item (event, list);
