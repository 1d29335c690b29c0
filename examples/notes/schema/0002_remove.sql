-- Without it, whoever removes a note reads all tokens of all notes.
CREATE INDEX token_note ON token (note);
