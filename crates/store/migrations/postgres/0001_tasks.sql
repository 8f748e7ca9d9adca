-- Tasks and what became of them.
--
-- Ids and names compare byte by byte (collation "C"), as Rust and SQLite do: where events disagree
-- the least text wins, and that must be the same text everywhere.

CREATE TABLE background_task (
    -- Public id: a keyed hash of task_id.
    id text COLLATE "C" PRIMARY KEY,
    task_id text COLLATE "C" NOT NULL,
    type text COLLATE "C" NOT NULL,
    service text COLLATE "C" NOT NULL,
    state text COLLATE "C" NOT NULL
        CONSTRAINT background_task_state_known CHECK (state IN (
            'PENDING', 'UNROUTABLE', 'REJECTED', 'RECEIVED', 'STARTED',
            'PROGRESS', 'RETRY', 'FAILURE', 'REVOKED', 'SUCCESS'
        )),
    -- The order of merging: state, error, progress, retry_at and worker come from the event with
    -- the highest (run, rescue, sticky, executions, deliveries, tries, rank, event_id).
    run integer NOT NULL,
    rescue integer NOT NULL,
    sticky smallint NOT NULL,
    executions integer NOT NULL,
    deliveries integer NOT NULL,
    tries integer NOT NULL,
    rank smallint NOT NULL,
    event_id uuid NOT NULL,
    -- Which tracking copy the descriptive columns come from: the highest. -1: none is there yet,
    -- and events fill in what they know.
    copy_run integer NOT NULL,
    copy_rescue integer NOT NULL,
    copy_executions integer NOT NULL,
    copy_digest bigint NOT NULL,
    -- {"args": […], "kwargs": {…}}; null when jsonb cannot hold it, then message still does.
    input jsonb,
    options jsonb,
    -- The copy from which the task can be sent again.
    message bytea,
    headers jsonb,
    properties jsonb,
    exchange text COLLATE "C",
    routing_key text COLLATE "C",
    -- Service whose queue the key leads to: its first segment, after the bits of a delay.
    addressee text COLLATE "C",
    creator_id text COLLATE "C",
    related_content_type text COLLATE "C",
    related_object_id text COLLATE "C",
    identifier text COLLATE "C",
    -- No foreign keys: a child may arrive before its parent.
    parent_id text COLLATE "C",
    root_id text COLLATE "C",
    session_id text COLLATE "C",
    -- Whether the last write changed what its session counts.
    recount boolean NOT NULL DEFAULT true,
    immutable boolean NOT NULL DEFAULT false,
    is_result boolean NOT NULL DEFAULT false,
    held boolean NOT NULL DEFAULT false,
    progress_current bigint,
    progress_total bigint,
    progress_message text,
    error_kind text COLLATE "C",
    error_message text,
    eta timestamptz,
    expires timestamptz,
    retry_at timestamptz,
    worker text COLLATE "C",
    -- How long the row is kept once the task is over, where the message says so.
    retention_s bigint,
    -- Of a task that its worker has taken over from the broker: how long the worker may be silent, how
    -- often workers have vanished with the task, and when it is taken for lost, by the database's clock.
    lease_ms integer,
    restarts integer,
    lease_until timestamptz,
    -- Which delay levels may ever have held a message of it: the bits of all delays that copies tell.
    delay_bits integer NOT NULL DEFAULT 0,
    -- Until when, as far as any copy tells.
    delayed_until timestamptz,
    created_date timestamptz NOT NULL DEFAULT now(),
    last_updated timestamptz NOT NULL DEFAULT now()
);

CREATE UNIQUE INDEX background_task_task_id ON background_task (task_id);
-- Lists are newest first. Indexes that follow the time of sending grow at one end, which is cheap;
-- the others hold only the few rows that have the thing.
CREATE INDEX background_task_created ON background_task (created_date);
-- Both by name (which begins with the service) and by service.
CREATE INDEX background_task_type ON background_task (service, type, created_date);
-- With the type, so that looking for the few of one type does not read the rows of all others.
CREATE INDEX background_task_unfinished ON background_task (state, created_date, service, type)
    WHERE state <> 'SUCCESS';
CREATE INDEX background_task_unroutable ON background_task (addressee, created_date)
    WHERE state = 'UNROUTABLE';
CREATE INDEX background_task_lease ON background_task (lease_until) WHERE lease_until IS NOT NULL;
CREATE INDEX background_task_root ON background_task (root_id) WHERE root_id <> task_id;
CREATE INDEX background_task_creator ON background_task (creator_id, created_date)
    WHERE creator_id IS NOT NULL;
CREATE INDEX background_task_related
    ON background_task (related_content_type, related_object_id, created_date)
    WHERE related_content_type IS NOT NULL;
CREATE INDEX background_task_identifier ON background_task (identifier, type)
    WHERE identifier IS NOT NULL;
-- Tasks that say how long they are kept are found by that; the others by their type.
CREATE INDEX background_task_retention ON background_task (retention_s, created_date)
    WHERE retention_s IS NOT NULL;
-- Of those that live no two may have the same.
CREATE INDEX background_task_living ON background_task (identifier, type)
    WHERE identifier IS NOT NULL
    AND state NOT IN ('SUCCESS', 'FAILURE', 'REVOKED', 'REJECTED');
-- Others go on in their place.
CREATE INDEX background_task_replaced ON background_task (task_id) WHERE state = 'RETRY' AND error_kind = 'replaced';

CREATE FUNCTION counterfoil_touch() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.last_updated := now();
    RETURN NEW;
END
$$;

CREATE TRIGGER background_task_touch BEFORE UPDATE ON background_task
    FOR EACH ROW
    -- A lease that is renewed is no news.
    WHEN (OLD.lease_until IS NOT DISTINCT FROM NEW.lease_until OR OLD.event_id <> NEW.event_id)
    EXECUTE FUNCTION counterfoil_touch();

-- The outcome of each run. No foreign key: it may arrive before the task.
CREATE TABLE task_result (
    task_id text COLLATE "C" NOT NULL,
    run integer NOT NULL,
    status text COLLATE "C" NOT NULL
        CONSTRAINT task_result_status_known
        CHECK (status IN ('REJECTED', 'FAILURE', 'REVOKED', 'SUCCESS')),
    -- The order of merging, within the run.
    rescue integer NOT NULL,
    sticky smallint NOT NULL,
    executions integer NOT NULL,
    deliveries integer NOT NULL,
    tries integer NOT NULL,
    rank smallint NOT NULL,
    event_id uuid NOT NULL,
    result jsonb,
    -- The result's text, when jsonb cannot hold it.
    result_raw bytea,
    error_kind text COLLATE "C",
    error_message text,
    traceback text,
    date_done timestamptz NOT NULL,
    runtime_ms bigint,
    worker text COLLATE "C",
    PRIMARY KEY (task_id, run)
);
