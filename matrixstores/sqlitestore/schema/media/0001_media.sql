-- What is known of the contents, without the contents: cleaning reads nothing else.
-- Behind a column stands what it holds in a plain | in an encrypted store.
CREATE TABLE media (
	id            INTEGER PRIMARY KEY,   -- of two contents the one that was stored later has the greater one
	uri           BLOB    NOT NULL,      -- the URI | its hash
	format        BLOB    NOT NULL,      -- the format | the hash of URI and format
	content       BLOB    NOT NULL UNIQUE, -- random, and never used twice: what the chunks, and info, belong to
	size          INTEGER NOT NULL,      -- in bytes, as they were given
	last_access   INTEGER NOT NULL,      -- in milliseconds since 1970
	ignore_policy INTEGER NOT NULL,      -- 0 or 1
	info          BLOB    NOT NULL,      -- request and sizes, with a checksum | sealed
	UNIQUE (uri, format)
) STRICT;

-- What cleaning looks for. Contents that ignore the policy are in neither.
CREATE INDEX media_unread ON media (last_access) WHERE ignore_policy = 0;
CREATE INDEX media_large ON media (size) WHERE ignore_policy = 0;

-- The contents, in pieces. It has a rowid: rows of this size do not belong into an index.
CREATE TABLE chunk (
	row  BLOB NOT NULL UNIQUE, -- the content that it belongs to, and its number: 16 and 4 bytes
	data BLOB NOT NULL         -- with a checksum | sealed
) STRICT;

-- Contents that are being written as streams, and have chunks already.
CREATE TABLE upload (
	content BLOB    PRIMARY KEY,
	touched INTEGER NOT NULL -- in milliseconds since 1970
) STRICT, WITHOUT ROWID;

-- How many contents there are, and how large they are together, by whether they ignore the
-- policy: so nobody has to count them.
CREATE TABLE total (
	ignore_policy INTEGER PRIMARY KEY,
	contents      INTEGER NOT NULL,
	bytes         INTEGER NOT NULL
) STRICT;
INSERT INTO total (ignore_policy, contents, bytes) VALUES (0, 0, 0), (1, 0, 0);

CREATE TRIGGER media_added AFTER INSERT ON media BEGIN
	UPDATE total SET contents = contents + 1, bytes = bytes + new.size WHERE ignore_policy = new.ignore_policy;
END;
CREATE TRIGGER media_removed AFTER DELETE ON media BEGIN
	UPDATE total SET contents = contents - 1, bytes = bytes - old.size WHERE ignore_policy = old.ignore_policy;
END;
CREATE TRIGGER media_flagged AFTER UPDATE OF ignore_policy ON media WHEN old.ignore_policy <> new.ignore_policy BEGIN
	UPDATE total SET contents = contents - 1, bytes = bytes - old.size WHERE ignore_policy = old.ignore_policy;
	UPDATE total SET contents = contents + 1, bytes = bytes + new.size WHERE ignore_policy = new.ignore_policy;
END;
