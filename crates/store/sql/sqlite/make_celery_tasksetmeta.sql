-- The table of groups, as Celery 5.7 makes it.
CREATE TABLE IF NOT EXISTS celery_tasksetmeta (
    id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    taskset_id VARCHAR(155),
    result BLOB,
    date_done DATETIME,
    UNIQUE (taskset_id)
)
