-- The table of results, as Celery 5.7 makes it. It calls the sequence of ids itself.
CREATE TABLE IF NOT EXISTS celery_taskmeta (
    id integer NOT NULL,
    task_id varchar(155),
    status varchar(50),
    result bytea,
    date_done timestamp without time zone,
    traceback text,
    children bytea,
    name varchar(155),
    args bytea,
    kwargs bytea,
    worker varchar(155),
    retries integer,
    queue varchar(155),
    stamps bytea,
    PRIMARY KEY (id),
    UNIQUE (task_id)
)
