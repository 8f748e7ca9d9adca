-- What a dashboard reads beside rows: what changed lately.

-- What every transaction changed, for whoever shows it. One transaction writes at a time, so they become visible in
-- the order of their positions.
CREATE TABLE task_change (
    position integer PRIMARY KEY AUTOINCREMENT,
    kind text NOT NULL
        CONSTRAINT task_change_kind_known CHECK (kind IN ('task', 'session', 'deleted')),
    -- Public ids of tasks, ids of sessions: a JSON array.
    ids text NOT NULL CHECK (json_valid(ids)),
    id_count integer NOT NULL
);

-- Looks at the feed, one a minute. What was there at the oldest of them may be gone.
CREATE TABLE task_change_mark (
    id text NOT NULL PRIMARY KEY,
    at text NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%f000Z', 'now')),
    -- The last position then.
    seen integer NOT NULL
);

-- What charts are drawn from, so that nobody counts tasks for them: how many of a type did what in a minute, and how
-- long it took.

-- What transactions have counted and nobody has added up yet.
CREATE TABLE task_rollup_delta (
    position integer PRIMARY KEY,
    -- Beginning of a minute.
    at text NOT NULL,
    service text NOT NULL,
    type text NOT NULL,
    what text NOT NULL
        CONSTRAINT task_rollup_what_known CHECK (what IN (
            'sent', 'queued', 'RETRY', 'REJECTED', 'FAILURE', 'REVOKED', 'SUCCESS'
        )),
    -- Of the time that a task waited (queued) or ran (outcomes): four to an octave of milliseconds. -4: less than
    -- one. -100: not known.
    size integer NOT NULL,
    -- Less than nothing where something turned out otherwise.
    tasks integer NOT NULL
);

-- The same added up, for each span beside the others: a chart of a month reads days, not minutes.
CREATE TABLE task_rollup (
    -- Minutes; less than nothing: of all types together, whose service and type are empty.
    span integer NOT NULL,
    -- Its beginning.
    at text NOT NULL,
    service text NOT NULL,
    type text NOT NULL,
    what text NOT NULL,
    size integer NOT NULL,
    tasks integer NOT NULL,
    PRIMARY KEY (span, at, service, type, what, size)
) WITHOUT ROWID;

-- What people did through the dashboard. Only ever appended to; the audit of the books is something else.
CREATE TABLE operator_action (
    -- Version 7: in the order of time.
    id text NOT NULL PRIMARY KEY,
    at text NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%f000Z', 'now')),
    who text NOT NULL,
    role text NOT NULL,
    -- From where the request came.
    address text,
    action text NOT NULL,
    -- task, session, service, …, and its id; null where it is about no single one.
    subject_kind text,
    subject text,
    detail text CHECK (json_valid(detail)),
    outcome text NOT NULL
);
CREATE INDEX operator_action_who ON operator_action (who, id);
CREATE INDEX operator_action_action ON operator_action (action, id);
CREATE INDEX operator_action_subject ON operator_action (subject, id) WHERE subject IS NOT NULL;

-- Requests that callers may repeat without a second task: what they are known by, and the task that the first made.
CREATE TABLE request_key (
    -- Whose key it is.
    owner text NOT NULL,
    key text NOT NULL,
    -- Hash of the request: another one under the same key is a mistake.
    digest blob NOT NULL,
    task_id text NOT NULL,
    created_at text NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%f000Z', 'now')),
    -- When it was certain that the task is sent.
    answered_at text,
    PRIMARY KEY (owner, key)
);
CREATE INDEX request_key_created ON request_key (created_at);
