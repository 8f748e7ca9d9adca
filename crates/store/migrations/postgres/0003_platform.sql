-- What the platform knows beside tasks.

CREATE TABLE worker (
    id text COLLATE "C" PRIMARY KEY,
    service text COLLATE "C" NOT NULL,
    host text COLLATE "C" NOT NULL,
    pid bigint,
    version text,
    -- [{"name": …, "schema": …}]
    -- Not jsonb: the order of a schema's properties is that of arguments by position.
    tasks json,
    -- running, quiet, draining or stopped
    phase text COLLATE "C" NOT NULL,
    -- Names of the services of which it takes nothing.
    paused jsonb NOT NULL,
    -- Whether it does what is asked of workers; false: it cannot read that.
    follows_control boolean NOT NULL,
    -- What was published until then of what is asked, by the database's clock, it has read; and all that it
    -- had begun before it has told.
    heard_until timestamptz,
    -- Names of the queues that it consumes.
    queues jsonb NOT NULL,
    -- What it has in hand of each: {"name": {"consumers": …, "untold": …}}
    hands jsonb NOT NULL,
    -- Tasks that it runs by tokens: {"name": {"limit": …, "tokens": […]}}
    limits jsonb NOT NULL,
    running bigint NOT NULL,
    processed bigint NOT NULL,
    -- How soon it will be heard of again.
    interval_ms bigint NOT NULL,
    -- By the worker's clock.
    started_at timestamptz,
    -- By the database's clock.
    last_heartbeat timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX worker_heard ON worker (last_heartbeat);

-- Messages that could not be read, as they came.
CREATE TABLE parked (
    id uuid PRIMARY KEY,
    queue text COLLATE "C" NOT NULL,
    reason text NOT NULL,
    task_id text COLLATE "C",
    type text COLLATE "C",
    message bytea NOT NULL,
    headers jsonb NOT NULL,
    properties jsonb NOT NULL,
    exchange text COLLATE "C" NOT NULL,
    routing_key text COLLATE "C" NOT NULL,
    parked_at timestamptz NOT NULL DEFAULT now(),
    times bigint NOT NULL DEFAULT 1,
    -- A report that is judged again once the tracking copy of its task is there.
    waits boolean NOT NULL DEFAULT false
);
CREATE INDEX parked_waits ON parked (task_id) WHERE waits;
CREATE INDEX parked_at ON parked (parked_at, id);
CREATE INDEX parked_task ON parked (task_id) WHERE task_id IS NOT NULL;

-- Messages in the dead queues of the services, as the platform's copies tell.
CREATE TABLE dead (
    id uuid PRIMARY KEY,
    service text COLLATE "C" NOT NULL,
    reason text COLLATE "C" NOT NULL,
    reason_text text,
    task_id text COLLATE "C",
    type text COLLATE "C",
    run integer NOT NULL,
    rescue integer NOT NULL,
    executions integer NOT NULL,
    deliveries integer NOT NULL,
    message bytea NOT NULL,
    headers jsonb NOT NULL,
    properties jsonb NOT NULL,
    exchange text COLLATE "C" NOT NULL,
    routing_key text COLLATE "C" NOT NULL,
    died_at timestamptz NOT NULL DEFAULT now(),
    -- How often the platform was told of such a message.
    times bigint NOT NULL DEFAULT 1,
    -- How many such messages were taken out of the dead queue since. The row goes when that is all of
    -- them; until the daemon has read its copy of one that was taken out, it keeps a place for it.
    handled bigint NOT NULL DEFAULT 0
);
CREATE INDEX dead_at ON dead (died_at, id);
CREATE INDEX dead_service ON dead (service, died_at, id);
CREATE INDEX dead_task ON dead (task_id) WHERE task_id IS NOT NULL;

-- Messages that are sent only to see whether every queue of the platform is read.
CREATE TABLE canary (
    id uuid PRIMARY KEY,
    sent_at timestamptz NOT NULL DEFAULT now(),
    tracked_at timestamptz,
    unroutable_at timestamptz,
    event_at timestamptz
);
CREATE INDEX canary_sent ON canary (sent_at);

-- The last messages by which the leading daemon finds out whether what is told of tasks comes through.
CREATE TABLE marker (
    id uuid PRIMARY KEY,
    sent_at timestamptz NOT NULL DEFAULT now(),
    tracking boolean NOT NULL DEFAULT false,
    events boolean NOT NULL DEFAULT false,
    heartbeats boolean NOT NULL DEFAULT false
);

-- A group of subtasks with counters and one finalizer.
CREATE TABLE session (
    id text COLLATE "C" PRIMARY KEY,
    action text NOT NULL,
    status text COLLATE "C" NOT NULL DEFAULT 'ONGOING'
        CONSTRAINT session_status_known CHECK (status IN (
            'ONGOING', 'ABORTING', 'SUCCESS', 'COMPLETED_WITH_ERRORS', 'FAILURE', 'ABORTED',
            'TIMED_OUT'
        )),
    policy text COLLATE "C" NOT NULL
        CONSTRAINT session_policy_known CHECK (policy IN ('complete', 'fail')),
    -- Its time is over.
    timed_out boolean NOT NULL DEFAULT false,
    -- All that was missing then counts as failed.
    written_off boolean NOT NULL DEFAULT false,
    aborted_by text,
    total integer NOT NULL,
    succeeded integer NOT NULL DEFAULT 0,
    failed integer NOT NULL DEFAULT 0,
    revoked integer NOT NULL DEFAULT 0,
    skipped integer NOT NULL DEFAULT 0,
    retried_counted integer NOT NULL DEFAULT 0,
    retried_uncounted integer NOT NULL DEFAULT 0,
    duration_ms bigint NOT NULL DEFAULT 0,
    -- Null: as the daemon's settings say.
    estimated_ms bigint,
    buffer_ms bigint,
    finalizer_id text COLLATE "C" NOT NULL,
    finalizer_type text COLLATE "C" NOT NULL,
    -- Not jsonb: that could not hold all arguments.
    finalizer json NOT NULL,
    creator_id text COLLATE "C",
    related_content_type text COLLATE "C",
    related_object_id text COLLATE "C",
    started_at timestamptz NOT NULL DEFAULT now(),
    finished_at timestamptz,
    -- Its finalizer could not be sent, and somebody threw the message away.
    finalizer_discarded_at timestamptz,
    finalizer_discarded_by text,
    last_updated timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX session_open ON session (started_at) WHERE status IN ('ONGOING', 'ABORTING');
CREATE INDEX session_aborting ON session (started_at) WHERE status = 'ABORTING';
CREATE INDEX session_started ON session (started_at, id);
CREATE INDEX session_discarded ON session (started_at, id) WHERE finalizer_discarded_at IS NOT NULL;
CREATE TRIGGER session_touch BEFORE UPDATE ON session
    FOR EACH ROW EXECUTE FUNCTION counterfoil_touch();

-- Which tasks a session waits for, and what it counted of them: of one that is not over, its
-- row in background_task tells more. It changes seldom: with room left on its page, no index has to follow.
CREATE TABLE session_subtask (
    session_id text COLLATE "C" NOT NULL,
    task_id text COLLATE "C" NOT NULL,
    -- From 0, in the order of the opening.
    position integer NOT NULL,
    type text COLLATE "C" NOT NULL,
    status text COLLATE "C" NOT NULL DEFAULT 'PENDING',
    skipped boolean NOT NULL DEFAULT false,
    retried_counted integer NOT NULL DEFAULT 0,
    retried_uncounted integer NOT NULL DEFAULT 0,
    PRIMARY KEY (session_id, task_id)
) WITH (fillfactor = 45);

-- Groups of tasks that a `celery.chord_unlock` waits for: what is sent to its service when all of them are over.
CREATE TABLE chord (
    -- Id of the task that is sent then.
    id text COLLATE "C" PRIMARY KEY,
    service text COLLATE "C" NOT NULL,
    root_id text COLLATE "C" NOT NULL,
    parent_id text COLLATE "C" NOT NULL,
    -- Not jsonb: that could not hold all arguments.
    args text NOT NULL,
    kwargs text NOT NULL,
    -- The first of its tasks that was not over when somebody looked: nobody looks at the others before that is.
    waits_for text COLLATE "C" NOT NULL,
    -- Its position.
    waits_from integer NOT NULL DEFAULT 0,
    -- Then the chord has failed.
    gives_up_at timestamptz,
    -- Until then nobody looks after it: it could not be told of.
    put_off_until timestamptz,
    created_date timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE chord_member (
    chord_id text COLLATE "C" NOT NULL,
    -- From 0, in the order of the results.
    position integer NOT NULL,
    task_id text COLLATE "C" NOT NULL,
    PRIMARY KEY (chord_id, position)
);
CREATE INDEX chord_member_task ON chord_member (task_id);

-- Tasks that were to follow after others and will never be sent, because those failed.
CREATE TABLE skipped_task (
    task_id text COLLATE "C" PRIMARY KEY,
    -- The one that failed.
    after_id text COLLATE "C" NOT NULL,
    -- What that raised, as Celery writes it down: JSON.
    exception text NOT NULL,
    -- The service that told it, where no other could: nothing tells yet whose the task is that was to follow.
    service text COLLATE "C",
    -- What callers in Python were told instead of a result. Null: nothing.
    told bytea,
    created_date timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX skipped_task_created ON skipped_task (created_date);
CREATE INDEX skipped_task_after ON skipped_task (after_id);

-- Messages that the leading daemon is to publish, in the order of due_at and position.
CREATE TABLE outbox (
    position bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    -- Writing the same thing twice is publishing it once.
    key text COLLATE "C" NOT NULL UNIQUE,
    -- Empty: that of tasks.
    exchange text COLLATE "C" NOT NULL,
    routing_key text COLLATE "C" NOT NULL,
    -- The queue that it goes to, as far as the key tells: one that takes nothing holds up no others.
    queue text COLLATE "C" NOT NULL GENERATED ALWAYS AS (split_part(routing_key, '.', 1)) STORED,
    message bytea NOT NULL,
    headers jsonb NOT NULL,
    properties jsonb NOT NULL,
    due_at timestamptz NOT NULL DEFAULT now(),
    sent_at timestamptz,
    -- Why it can never be published: it is tried no more.
    refusal text,
    created_date timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX outbox_due ON outbox (queue, due_at, position)
    WHERE sent_at IS NULL AND refusal IS NULL;
CREATE INDEX outbox_sent ON outbox (sent_at) WHERE sent_at IS NOT NULL;
CREATE INDEX outbox_refused ON outbox (position) WHERE refusal IS NOT NULL;

-- Wakes whoever publishes it.
CREATE FUNCTION counterfoil_outbox_wake() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('counterfoil_outbox', '');
    RETURN NULL;
END
$$;
-- Also by what is to be tried once more.
CREATE TRIGGER outbox_wake AFTER INSERT OR UPDATE OF refusal ON outbox
    FOR EACH STATEMENT EXECUTE FUNCTION counterfoil_outbox_wake();

-- Tasks that are sent at fixed times.
CREATE TABLE schedule (
    name text COLLATE "C" PRIMARY KEY,
    cron text NOT NULL,
    time_zone text NOT NULL DEFAULT 'UTC',
    type text COLLATE "C" NOT NULL,
    -- JSON as it is sent.
    args text NOT NULL DEFAULT '[]',
    kwargs text NOT NULL DEFAULT '{}',
    priority text COLLATE "C" NOT NULL DEFAULT 'normal',
    creator_id text COLLATE "C",
    -- After so long a task is not to run any more.
    expires_ms bigint,
    -- Each task is sent up to so much later.
    jitter_ms bigint NOT NULL DEFAULT 0,
    -- About times at which nobody looked.
    catch_up text COLLATE "C" NOT NULL DEFAULT 'skip'
        CONSTRAINT schedule_catch_up_known CHECK (catch_up IN ('skip', 'once', 'all')),
    enabled boolean NOT NULL DEFAULT true,
    -- Moved on in the transaction that puts what is sent into the outbox.
    next_at timestamptz,
    last_at timestamptz,
    created_date timestamptz NOT NULL DEFAULT now(),
    last_updated timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX schedule_next ON schedule (next_at) WHERE enabled;
CREATE TRIGGER schedule_touch BEFORE UPDATE ON schedule
    FOR EACH ROW EXECUTE FUNCTION counterfoil_touch();

-- What people ask of workers. The leading daemon publishes it, and again while it holds.
CREATE TABLE control (
    id uuid PRIMARY KEY,
    kind text COLLATE "C" NOT NULL
        CONSTRAINT control_kind_known CHECK (kind IN (
            'revoke', 'revoke_family', 'revoke_session', 'time_out_session', 'session_is', 'hold',
            'release', 'pause_service', 'resume_service', 'quiet', 'stop'
        )),
    -- Id of the task, the family's first task, the session or the worker, or name of the service.
    subject text COLLATE "C" NOT NULL,
    -- Revocations: the run of the task up to which it is meant.
    run integer,
    created_by text,
    -- The order of what is asked about one subject.
    created_date timestamptz NOT NULL
        -- Later times cannot be read.
        CONSTRAINT control_time_known CHECK (created_date BETWEEN '2000-01-01' AND '9999-01-01'),
    -- When it was last published.
    published_at timestamptz,
    -- Since when it does not hold any more; at once for what is said only once.
    ends_at timestamptz
);
CREATE INDEX control_unpublished ON control (created_date, id) WHERE published_at IS NULL AND kind <> 'session_is';
CREATE INDEX control_unanswered ON control (created_date, id) WHERE published_at IS NULL AND kind = 'session_is';
CREATE INDEX control_holds ON control (subject, kind) WHERE ends_at IS NULL;
CREATE INDEX control_renewal ON control (published_at) WHERE ends_at IS NULL;
CREATE INDEX control_ended ON control (ends_at) WHERE ends_at IS NOT NULL;

-- Tasks that people deleted: they have no row on purpose.
CREATE TABLE deleted_task (
    task_id text COLLATE "C" PRIMARY KEY,
    -- Public id that its row had.
    id text COLLATE "C" NOT NULL,
    type text COLLATE "C" NOT NULL,
    deleted_by text,
    deleted_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX deleted_task_id ON deleted_task (id);
CREATE INDEX deleted_task_age ON deleted_task (deleted_at);

-- One row that is written to see whether the database can be written.
CREATE TABLE probe (
    only_one boolean PRIMARY KEY CHECK (only_one),
    at timestamptz NOT NULL
);
