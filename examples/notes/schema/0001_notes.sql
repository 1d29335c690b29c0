CREATE TABLE note (
	row  BLOB PRIMARY KEY, -- random, and never used twice
	body BLOB NOT NULL     -- the whole note as JSON, sealed for its row
) STRICT;

CREATE TABLE token (
	token BLOB NOT NULL, -- what notes are found by, hashed: @id, #tag
	note  BLOB NOT NULL REFERENCES note (row) ON DELETE CASCADE,
	PRIMARY KEY (token, note)
) STRICT, WITHOUT ROWID;
