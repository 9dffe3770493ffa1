-- Figures: what sessions have used, why tasks wait, which attempts have failed.

-- Of a session's processes, as its keeper has seen it; not known of those that had ended
-- before, and of those whose keeper was lost. Processor time and time run in milliseconds,
-- the most resident memory at a time in bytes, the most processes at a time.
ALTER TABLE sessions ADD COLUMN ran_ms INTEGER;
ALTER TABLE sessions ADD COLUMN cpu_ms INTEGER;
ALTER TABLE sessions ADD COLUMN peak_memory INTEGER;
ALTER TABLE sessions ADD COLUMN peak_processes INTEGER;

CREATE INDEX attempts_failed ON attempts (ended_at, task, number)
    WHERE ended_at IS NOT NULL AND outcome NOT IN ('succeeded', 'killed');

-- What a queued task waits for, as far as its row says; 'ready' is for limits.
ALTER TABLE tasks ADD COLUMN cause TEXT GENERATED ALWAYS AS
    (CASE WHEN status <> 'queued' THEN NULL
          WHEN batch_open = 1 OR unmet > 0 THEN 'dependency'
          WHEN due_at IS NULL THEN 'ready'
          WHEN backing_off = 1 THEN 'backoff'
          ELSE 'begin' END) VIRTUAL;

-- Queued tasks by lane and cause.
CREATE TABLE waiting (
    lane  INTEGER NOT NULL REFERENCES lanes (id),
    cause TEXT NOT NULL,
    tasks INTEGER NOT NULL,
    PRIMARY KEY (lane, cause)
) STRICT, WITHOUT ROWID;

-- Of all lanes there have ever been those that somebody waits in.
CREATE INDEX waiting_some ON waiting (lane, cause) WHERE tasks > 0;

INSERT INTO waiting SELECT lane, cause, count(*) FROM tasks WHERE status = 'queued' GROUP BY lane, cause;

CREATE TRIGGER waiting_insert AFTER INSERT ON tasks WHEN NEW.cause IS NOT NULL
BEGIN
    INSERT INTO waiting (lane, cause, tasks) VALUES (NEW.lane, NEW.cause, 1)
        ON CONFLICT DO UPDATE SET tasks = tasks + 1;
END;

CREATE TRIGGER waiting_leave AFTER UPDATE OF status, unmet, batch_open, due_at, backing_off, lane ON tasks
    WHEN OLD.cause IS NOT NULL AND (NEW.cause IS NOT OLD.cause OR NEW.lane <> OLD.lane)
BEGIN
    UPDATE waiting SET tasks = tasks - 1 WHERE lane = OLD.lane AND cause = OLD.cause;
END;

CREATE TRIGGER waiting_enter AFTER UPDATE OF status, unmet, batch_open, due_at, backing_off, lane ON tasks
    WHEN NEW.cause IS NOT NULL AND (NEW.cause IS NOT OLD.cause OR NEW.lane <> OLD.lane)
BEGIN
    INSERT INTO waiting (lane, cause, tasks) VALUES (NEW.lane, NEW.cause, 1)
        ON CONFLICT DO UPDATE SET tasks = tasks + 1;
END;
