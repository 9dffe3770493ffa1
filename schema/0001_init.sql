-- The instance's database. Applied as one transaction by src/store/migrate.rs, which
-- also sets application_id and user_version. Never edited once released.
--
-- Times are milliseconds since 1970-01-01 UTC; words such as a status are the names that
-- JSON shows. Only src/store/apply.rs writes tasks.status.

-- install, epoch, generation.
CREATE TABLE meta (
    name  TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- Queue-wide switches that survive restarts.
CREATE TABLE preferences (
    name  TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- How far a consumer of the events has come.
CREATE TABLE cursors (
    consumer TEXT PRIMARY KEY,
    seq      INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- A provider in a directory. The head is the ready task that goes first, kept by the
-- triggers below: claiming looks at heads only.
CREATE TABLE lanes (
    id        INTEGER PRIMARY KEY,
    provider  TEXT NOT NULL,
    dir       TEXT NOT NULL,
    head_rank INTEGER,
    head_task INTEGER,
    UNIQUE (provider, dir)
) STRICT;

CREATE INDEX lanes_heads ON lanes (provider, head_rank, head_task) WHERE head_rank IS NOT NULL;

CREATE TABLE batches (
    id         INTEGER PRIMARY KEY,
    stored     INTEGER NOT NULL,
    complete   INTEGER NOT NULL,
    released   INTEGER NOT NULL,
    created_at INTEGER NOT NULL
) STRICT;

CREATE INDEX batches_to_release ON batches (id) WHERE complete = 1 AND released = 0;

-- A chunk is stored by one transaction, so the numbers of its tasks follow one another.
CREATE TABLE batch_chunks (
    batch      INTEGER NOT NULL REFERENCES batches (id),
    first      INTEGER NOT NULL,
    tasks      INTEGER NOT NULL,
    first_task INTEGER NOT NULL,
    hash       BLOB NOT NULL,
    released   INTEGER NOT NULL,
    PRIMARY KEY (batch, first)
) STRICT, WITHOUT ROWID;

-- Numbers are never used again, for tasks are never deleted.
CREATE TABLE tasks (
    id          INTEGER PRIMARY KEY,
    uid         BLOB NOT NULL CHECK (length(uid) = 16),
    title       TEXT NOT NULL,
    role        TEXT,
    lane        INTEGER NOT NULL REFERENCES lanes (id),
    model       TEXT,
    mode        TEXT NOT NULL,
    full_access INTEGER NOT NULL CHECK (full_access IN (0, 1)),
    priority    INTEGER NOT NULL,
    -- Order in the queue, lower first; ties go by number.
    rank        INTEGER NOT NULL,
    status      TEXT NOT NULL CHECK (status IN ('queued', 'held', 'starting', 'running', 'paused', 'completing',
                                                'passed', 'failed', 'error', 'cancelled', 'timeout')),
    stop        TEXT CHECK (stop IN ('cancel', 'kill', 'timeout')),
    outcome     TEXT,
    attempt     INTEGER NOT NULL CHECK (attempt >= 0),
    retries     INTEGER NOT NULL,
    failures    INTEGER NOT NULL,
    restarts    INTEGER NOT NULL,
    -- Dependencies not met.
    unmet       INTEGER NOT NULL CHECK (unmet >= 0),
    -- Its batch is not released yet.
    batch_open  INTEGER NOT NULL CHECK (batch_open IN (0, 1)),
    -- Not before this moment; taken away when it has come.
    due_at      INTEGER,
    backing_off INTEGER NOT NULL CHECK (backing_off IN (0, 1)),
    timeout_ms  INTEGER,
    columns     INTEGER,
    rows        INTEGER,
    created_at  INTEGER NOT NULL,
    updated_at  INTEGER NOT NULL,
    started_at  INTEGER,
    -- Set while the status is final.
    ended_at    INTEGER,
    exit_code   INTEGER,
    last_error  TEXT,
    error_count INTEGER NOT NULL,
    -- May be claimed as soon as limits allow.
    ready       INTEGER GENERATED ALWAYS AS
                (status = 'queued' AND unmet = 0 AND batch_open = 0 AND due_at IS NULL) VIRTUAL
) STRICT;

CREATE INDEX tasks_ready ON tasks (lane, rank, id) WHERE ready = 1;
CREATE INDEX tasks_waiting ON tasks (rank, id, status, lane) WHERE status IN ('queued', 'held');
CREATE INDEX tasks_status ON tasks (status);
CREATE INDEX tasks_ended ON tasks (ended_at, id, status, lane) WHERE ended_at IS NOT NULL;
CREATE INDEX tasks_due ON tasks (due_at) WHERE due_at IS NOT NULL;

-- Text that may have to be blanked; the history holds only its hash.
CREATE TABLE task_texts (
    task        INTEGER PRIMARY KEY REFERENCES tasks (id),
    description TEXT NOT NULL,
    -- JSON array.
    command     TEXT NOT NULL,
    -- JSON object.
    environment TEXT NOT NULL
) STRICT;

CREATE TABLE labels (
    label TEXT NOT NULL,
    task  INTEGER NOT NULL REFERENCES tasks (id),
    PRIMARY KEY (label, task)
) STRICT, WITHOUT ROWID;

CREATE INDEX labels_of_task ON labels (task);

CREATE TABLE dependencies (
    task      INTEGER NOT NULL REFERENCES tasks (id),
    parent    INTEGER NOT NULL REFERENCES tasks (id),
    condition TEXT NOT NULL CHECK (condition IN ('ok', 'any', 'not-ok')),
    met       INTEGER NOT NULL CHECK (met IN (0, 1)),
    PRIMARY KEY (task, parent, condition)
) STRICT, WITHOUT ROWID;

CREATE INDEX dependencies_of_parent ON dependencies (parent, task);

-- Tasks whose dependents could not all be looked at in their own transaction: those up
-- to `task` have been.
CREATE TABLE rechecks (
    parent INTEGER PRIMARY KEY REFERENCES tasks (id),
    task   INTEGER NOT NULL
) STRICT;

-- Tasks by status.
CREATE TABLE counters (
    status TEXT PRIMARY KEY,
    tasks  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

INSERT INTO counters (status, tasks) VALUES
    ('queued', 0), ('held', 0), ('starting', 0), ('running', 0), ('paused', 0), ('completing', 0),
    ('passed', 0), ('failed', 0), ('error', 0), ('cancelled', 0), ('timeout', 0);

CREATE TABLE sessions (
    id               INTEGER PRIMARY KEY AUTOINCREMENT,
    uid              BLOB NOT NULL UNIQUE CHECK (length(uid) = 16),
    name             TEXT NOT NULL,
    tool             TEXT NOT NULL,
    mode             TEXT NOT NULL,
    dir              TEXT NOT NULL,
    task             INTEGER REFERENCES tasks (id),
    attempt          INTEGER,
    state            TEXT NOT NULL CHECK (state IN ('starting', 'running', 'paused', 'ended', 'unresponsive', 'lost')),
    keeper_pid       INTEGER,
    -- JSON array.
    argv             TEXT NOT NULL,
    columns          INTEGER NOT NULL,
    rows             INTEGER NOT NULL,
    created_at       INTEGER NOT NULL,
    started_at       INTEGER,
    ended_at         INTEGER,
    exit_code        INTEGER,
    error            TEXT,
    -- Where the recording has moved to; until then it is in the live directory.
    recording_path   TEXT,
    recording_offset INTEGER,
    recording_bytes  INTEGER NOT NULL,
    recording_sha256 TEXT
) STRICT;

CREATE INDEX sessions_names ON sessions (name, id);
CREATE UNIQUE INDEX sessions_live ON sessions (name) WHERE ended_at IS NULL;

-- Highest N given out as TOOL-N.
CREATE TABLE session_names (
    tool   TEXT PRIMARY KEY,
    number INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE attempts (
    task       INTEGER NOT NULL REFERENCES tasks (id),
    number     INTEGER NOT NULL,
    session    INTEGER NOT NULL REFERENCES sessions (id),
    provider   TEXT NOT NULL,
    model      TEXT,
    claimed_at INTEGER NOT NULL,
    started_at INTEGER,
    ended_at   INTEGER,
    outcome    TEXT,
    exit_code  INTEGER,
    error      TEXT,
    PRIMARY KEY (task, number)
) STRICT, WITHOUT ROWID;

-- The history. Each hash covers the entry and the hash before it.
CREATE TABLE events (
    seq     INTEGER PRIMARY KEY,
    at      INTEGER NOT NULL,
    task    INTEGER,
    attempt INTEGER,
    kind    TEXT NOT NULL,
    actor   TEXT NOT NULL,
    status  TEXT,
    -- JSON object.
    detail  TEXT NOT NULL,
    hash    BLOB NOT NULL CHECK (length(hash) = 32)
) STRICT;

CREATE INDEX events_of_task ON events (task) WHERE task IS NOT NULL;

-- Idempotency: what a key was used for, and a hash of the request.
CREATE TABLE keys (
    key   TEXT PRIMARY KEY,
    hash  BLOB NOT NULL,
    task  INTEGER REFERENCES tasks (id),
    batch INTEGER REFERENCES batches (id),
    at    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Filled when the writer is idle, up to the cursor 'search'.
CREATE VIRTUAL TABLE search USING fts5 (
    title, description, result,
    content = '', contentless_delete = 1, tokenize = "unicode61 remove_diacritics 0"
);

INSERT INTO cursors (consumer, seq) VALUES ('search', 0);

CREATE TRIGGER events_stay_update BEFORE UPDATE ON events
BEGIN
    SELECT raise(ABORT, 'the history is append-only');
END;

CREATE TRIGGER events_stay_delete BEFORE DELETE ON events
BEGIN
    SELECT raise(ABORT, 'the history is append-only');
END;

CREATE TRIGGER tasks_stay BEFORE DELETE ON tasks
BEGIN
    SELECT raise(ABORT, 'tasks are never deleted');
END;

CREATE TRIGGER tasks_counted_insert AFTER INSERT ON tasks
BEGIN
    UPDATE counters SET tasks = tasks + 1 WHERE status = NEW.status;
END;

CREATE TRIGGER tasks_counted_update AFTER UPDATE OF status ON tasks WHEN OLD.status <> NEW.status
BEGIN
    UPDATE counters SET tasks = tasks - 1 WHERE status = OLD.status;
    UPDATE counters SET tasks = tasks + 1 WHERE status = NEW.status;
END;

CREATE TRIGGER lanes_insert AFTER INSERT ON tasks WHEN NEW.ready = 1
BEGIN
    UPDATE lanes SET head_rank = NEW.rank, head_task = NEW.id
     WHERE id = NEW.lane AND (head_rank IS NULL OR (NEW.rank, NEW.id) < (head_rank, head_task));
END;

-- The head has left, or moved: the next one is one seek away.
CREATE TRIGGER lanes_leave AFTER UPDATE OF status, unmet, batch_open, due_at, rank, lane ON tasks
    WHEN OLD.ready = 1 AND (NEW.ready = 0 OR OLD.rank <> NEW.rank OR OLD.lane <> NEW.lane)
BEGIN
    UPDATE lanes SET (head_rank, head_task) =
        (SELECT t.rank, t.id FROM tasks AS t INDEXED BY tasks_ready
          WHERE t.lane = lanes.id AND t.ready = 1 ORDER BY t.rank, t.id LIMIT 1)
     WHERE id = OLD.lane AND head_task = OLD.id;
END;

CREATE TRIGGER lanes_enter AFTER UPDATE OF status, unmet, batch_open, due_at, rank, lane ON tasks
    WHEN NEW.ready = 1 AND (OLD.ready = 0 OR OLD.rank <> NEW.rank OR OLD.lane <> NEW.lane)
BEGIN
    UPDATE lanes SET head_rank = NEW.rank, head_task = NEW.id
     WHERE id = NEW.lane AND (head_rank IS NULL OR (NEW.rank, NEW.id) < (head_rank, head_task));
END;

CREATE VIEW task_summary AS
SELECT t.id, t.title, t.status, l.provider, l.dir, t.priority, t.attempt, t.outcome, t.exit_code,
       t.created_at, t.started_at, t.ended_at
  FROM tasks AS t JOIN lanes AS l ON l.id = t.lane;

CREATE VIEW active_sessions AS
SELECT id, name, tool, mode, state, task, attempt, keeper_pid, dir, created_at, started_at
  FROM sessions WHERE ended_at IS NULL;
