-- What becomes of a task that was interrupted, and the conversation it goes on with.

ALTER TABLE tasks ADD COLUMN on_interrupt TEXT NOT NULL DEFAULT 'resume'
    CHECK (on_interrupt IN ('resume', 'requeue', 'hold', 'fail'));
ALTER TABLE tasks ADD COLUMN max_restarts INTEGER NOT NULL DEFAULT 3;
-- When the first of the counted restarts was.
ALTER TABLE tasks ADD COLUMN restarts_since INTEGER;
-- The attempt under way, or else the next one, goes on with the conversation before.
ALTER TABLE tasks ADD COLUMN resume INTEGER NOT NULL DEFAULT 0 CHECK (resume IN (0, 1));

-- The tool's name for what was said, by which it can be told to go on.
ALTER TABLE attempts ADD COLUMN conversation TEXT;
-- It went on with the conversation of an attempt before it.
ALTER TABLE attempts ADD COLUMN resumed INTEGER NOT NULL DEFAULT 0 CHECK (resumed IN (0, 1));
