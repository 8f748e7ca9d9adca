-- The table of groups, as Celery 5.7 makes it. It calls the sequence of ids itself.
CREATE TABLE IF NOT EXISTS celery_tasksetmeta (
    id integer NOT NULL,
    taskset_id varchar(155),
    result bytea,
    date_done timestamp without time zone,
    PRIMARY KEY (id),
    UNIQUE (taskset_id)
)
