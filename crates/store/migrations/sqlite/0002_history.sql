-- History: what happened to every task, and what its handlers wrote. Not partitioned.

CREATE TABLE task_event (
    task_id text NOT NULL,
    event_id text NOT NULL,
    -- Time that the line is filed under: the same whenever the event is told again.
    at text NOT NULL,
    run integer NOT NULL,
    rescue integer NOT NULL,
    executions integer NOT NULL,
    deliveries integer NOT NULL,
    tries integer NOT NULL,
    kind text NOT NULL
        CONSTRAINT task_event_kind_known CHECK (kind IN (
            'PENDING', 'UNROUTABLE', 'REJECTED', 'RECEIVED', 'STARTED',
            'PROGRESS', 'RETRY', 'FAILURE', 'REVOKED', 'SUCCESS'
        )),
    worker text,
    -- When it happened, by the reporter's clock.
    happened_at text NOT NULL,
    detail text,
    -- One index for both questions: is this event known, and what happened to this task.
    PRIMARY KEY (task_id, event_id)
) WITHOUT ROWID;

CREATE TABLE task_log (
    task_id text NOT NULL,
    event_id text NOT NULL,
    run integer NOT NULL,
    rescue integer NOT NULL,
    executions integer NOT NULL,
    deliveries integer NOT NULL,
    level text NOT NULL,
    message text NOT NULL,
    fields text,
    worker text,
    happened_at text NOT NULL,
    PRIMARY KEY (task_id, event_id)
) WITHOUT ROWID;
