-- Tasks and what became of them. The twin of PostgreSQL's; what differs:
-- times are texts of one form (2026-01-02T03:04:05.678901Z), which sort like the times; JSON is
-- text; UUIDs are hyphenated text; texts compare byte by byte without being told.

CREATE TABLE background_task (
    -- Public id: a keyed hash of task_id.
    id text NOT NULL PRIMARY KEY,
    task_id text NOT NULL,
    type text NOT NULL,
    service text NOT NULL,
    state text NOT NULL
        CONSTRAINT background_task_state_known CHECK (state IN (
            'PENDING', 'UNROUTABLE', 'REJECTED', 'RECEIVED', 'STARTED',
            'PROGRESS', 'RETRY', 'FAILURE', 'REVOKED', 'SUCCESS'
        )),
    -- The order of merging: state, error, progress, retry_at and worker come from the event with
    -- the highest (run, rescue, sticky, executions, deliveries, tries, rank, event_id).
    run integer NOT NULL,
    rescue integer NOT NULL,
    sticky integer NOT NULL,
    executions integer NOT NULL,
    deliveries integer NOT NULL,
    tries integer NOT NULL,
    rank integer NOT NULL,
    event_id text NOT NULL,
    -- Which tracking copy the descriptive columns come from: the highest. -1: none is there yet,
    -- and events fill in what they know.
    copy_run integer NOT NULL,
    copy_rescue integer NOT NULL,
    copy_executions integer NOT NULL,
    copy_digest integer NOT NULL,
    -- {"args": […], "kwargs": {…}}; null when PostgreSQL's jsonb could not hold it.
    input text,
    options text,
    -- The copy from which the task can be sent again.
    message blob,
    headers text,
    properties text,
    exchange text,
    routing_key text,
    -- Service whose queue the key leads to: its first segment, after the bits of a delay.
    addressee text,
    creator_id text,
    related_content_type text,
    related_object_id text,
    identifier text,
    -- No foreign keys: a child may arrive before its parent.
    parent_id text,
    root_id text,
    session_id text,
    -- Whether the last write changed what its session counts.
    recount boolean NOT NULL DEFAULT true,
    immutable boolean NOT NULL DEFAULT false,
    is_result boolean NOT NULL DEFAULT false,
    held boolean NOT NULL DEFAULT false,
    progress_current integer,
    progress_total integer,
    progress_message text,
    error_kind text,
    error_message text,
    eta text,
    expires text,
    retry_at text,
    worker text,
    -- How long the row is kept once the task is over, where the message says so.
    retention_s integer,
    -- Of a task that its worker has taken over from the broker: how long the worker may be silent, how
    -- often workers have vanished with the task, and when it is taken for lost, by the database's clock.
    lease_ms integer,
    restarts integer,
    lease_until text,
    -- Which delay levels may ever have held a message of it: the bits of all delays that copies tell.
    delay_bits integer NOT NULL DEFAULT 0,
    -- Until when, as far as any copy tells.
    delayed_until text,
    created_date text NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%f000Z', 'now')),
    last_updated text NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%f000Z', 'now'))
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

CREATE TRIGGER background_task_touch AFTER UPDATE ON background_task
    FOR EACH ROW WHEN NEW.last_updated IS OLD.last_updated
    -- A lease that is renewed is no news.
    AND (NEW.lease_until IS OLD.lease_until OR NEW.event_id <> OLD.event_id)
BEGIN
    UPDATE background_task SET last_updated = strftime('%Y-%m-%dT%H:%M:%f000Z', 'now')
    WHERE rowid = NEW.rowid;
END;

-- The outcome of each run. No foreign key: it may arrive before the task.
CREATE TABLE task_result (
    task_id text NOT NULL,
    run integer NOT NULL,
    status text NOT NULL
        CONSTRAINT task_result_status_known
        CHECK (status IN ('REJECTED', 'FAILURE', 'REVOKED', 'SUCCESS')),
    -- The order of merging, within the run.
    rescue integer NOT NULL,
    sticky integer NOT NULL,
    executions integer NOT NULL,
    deliveries integer NOT NULL,
    tries integer NOT NULL,
    rank integer NOT NULL,
    event_id text NOT NULL,
    result text,
    -- The result's text, when PostgreSQL's jsonb could not hold it.
    result_raw blob,
    error_kind text,
    error_message text,
    traceback text,
    date_done text NOT NULL,
    runtime_ms integer,
    worker text,
    PRIMARY KEY (task_id, run)
);
