-- What a dashboard reads beside rows: what changed lately.

-- What every transaction changed, for whoever shows it: rows are read by whether they were visible at an earlier
-- look, not by their order. After a crash it is empty, and whoever reads it begins anew.
CREATE UNLOGGED TABLE task_change (
    -- The transaction that wrote it.
    written_in xid8 NOT NULL DEFAULT pg_current_xact_id(),
    kind text COLLATE "C" NOT NULL
        CONSTRAINT task_change_kind_known CHECK (kind IN ('task', 'session', 'deleted')),
    -- Public ids of tasks, ids of sessions.
    ids text[] NOT NULL,
    id_count integer NOT NULL
);
CREATE INDEX task_change_written ON task_change (written_in);
-- Hashes do not become shorter by trying.
ALTER TABLE task_change ALTER COLUMN ids SET STORAGE EXTERNAL;

-- Looks at the feed, one a minute. What was visible at the oldest of them may be gone.
CREATE UNLOGGED TABLE task_change_mark (
    id uuid PRIMARY KEY,
    at timestamptz NOT NULL DEFAULT now(),
    seen pg_snapshot NOT NULL DEFAULT pg_current_snapshot()
);

-- What charts are drawn from, so that nobody counts tasks for them: how many of a type did what in a minute, and how
-- long it took.

-- The size of a time in milliseconds: four to an octave, so that what it stands for is at most 9 % off.
-- -4: less than a millisecond. -100: not known.
CREATE FUNCTION counterfoil_size(ms bigint) RETURNS smallint LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE
        WHEN ms IS NULL THEN -100
        WHEN ms < 1 THEN -4
        ELSE round(4 * ln(ms::float8) / ln(2::float8))
    END::smallint
$$;

-- What transactions have counted and nobody has added up yet: they only append, so none waits for another.
CREATE TABLE task_rollup_delta (
    -- Beginning of a minute.
    at timestamptz NOT NULL,
    service text COLLATE "C" NOT NULL,
    type text COLLATE "C" NOT NULL,
    what text COLLATE "C" NOT NULL
        CONSTRAINT task_rollup_what_known CHECK (what IN (
            'sent', 'queued', 'RETRY', 'REJECTED', 'FAILURE', 'REVOKED', 'SUCCESS'
        )),
    -- Of the time that a task waited (queued) or ran (outcomes).
    size smallint NOT NULL,
    -- Less than nothing where something turned out otherwise.
    tasks bigint NOT NULL
);
-- It has no key, and rows are removed: without this that is refused where a publication holds all tables.
ALTER TABLE task_rollup_delta REPLICA IDENTITY FULL;

-- The same added up, for each span beside the others: a chart of a month reads days, not minutes.
CREATE TABLE task_rollup (
    -- Minutes; less than nothing: of all types together, whose service and type are empty.
    span smallint NOT NULL,
    -- Its beginning.
    at timestamptz NOT NULL,
    service text COLLATE "C" NOT NULL,
    type text COLLATE "C" NOT NULL,
    what text COLLATE "C" NOT NULL,
    size smallint NOT NULL,
    tasks bigint NOT NULL,
    PRIMARY KEY (span, at, service, type, what, size)
) WITH (fillfactor = 70);

-- What people did through the dashboard. Only ever appended to; the audit of the books is something else.
CREATE TABLE operator_action (
    -- Version 7: in the order of time.
    id uuid PRIMARY KEY,
    at timestamptz NOT NULL DEFAULT now(),
    who text COLLATE "C" NOT NULL,
    role text COLLATE "C" NOT NULL,
    -- From where the request came.
    address text COLLATE "C",
    action text COLLATE "C" NOT NULL,
    -- task, session, service, …, and its id; null where it is about no single one.
    subject_kind text COLLATE "C",
    subject text COLLATE "C",
    detail jsonb,
    outcome text COLLATE "C" NOT NULL
);
CREATE INDEX operator_action_who ON operator_action (who, id);
CREATE INDEX operator_action_action ON operator_action (action, id);
CREATE INDEX operator_action_subject ON operator_action (subject, id) WHERE subject IS NOT NULL;

-- Requests that callers may repeat without a second task: what they are known by, and the task that the first made.
CREATE TABLE request_key (
    -- Whose key it is.
    owner text COLLATE "C" NOT NULL,
    key text COLLATE "C" NOT NULL,
    -- Hash of the request: another one under the same key is a mistake.
    digest bytea NOT NULL,
    task_id text COLLATE "C" NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    -- When it was certain that the task is sent.
    answered_at timestamptz,
    PRIMARY KEY (owner, key)
);
CREATE INDEX request_key_created ON request_key (created_at);
