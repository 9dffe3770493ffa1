-- What a task's own program may say: notes, questions to a person, outputs; and tasks that
-- it has submitted.

ALTER TABLE tasks ADD COLUMN parent INTEGER REFERENCES tasks (id);

CREATE INDEX tasks_of_parent ON tasks (parent) WHERE parent IS NOT NULL;

-- Waits before a repetition: one that is too long was made by a clock that was wrong.
CREATE INDEX tasks_backing_off ON tasks (due_at) WHERE backing_off = 1;

CREATE TABLE notes (
    id      INTEGER PRIMARY KEY,
    task    INTEGER NOT NULL REFERENCES tasks (id),
    attempt INTEGER,
    at      INTEGER NOT NULL,
    actor   TEXT NOT NULL,
    text    TEXT NOT NULL
) STRICT;

CREATE INDEX notes_of_task ON notes (task, id);

-- A question is open until it is answered or its task ends.
CREATE TABLE requests (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    task        INTEGER NOT NULL REFERENCES tasks (id),
    attempt     INTEGER,
    at          INTEGER NOT NULL,
    question    TEXT NOT NULL,
    answer      TEXT,
    answered_at INTEGER
) STRICT;

CREATE INDEX requests_of_task ON requests (task, id);
CREATE INDEX requests_open ON requests (id) WHERE answered_at IS NULL;

CREATE TABLE outputs (
    id      INTEGER PRIMARY KEY AUTOINCREMENT,
    task    INTEGER NOT NULL REFERENCES tasks (id),
    attempt INTEGER,
    at      INTEGER NOT NULL,
    name    TEXT NOT NULL,
    -- Relative to the state directory.
    path    TEXT NOT NULL,
    bytes   INTEGER NOT NULL,
    sha256  TEXT NOT NULL
) STRICT;

CREATE INDEX outputs_of_task ON outputs (task, id);
