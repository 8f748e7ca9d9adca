-- How long tasks are kept that say so themselves, in seconds, each length once. It jumps from one to the next
-- in the index.
-- Parameters: 1 seconds from which on they are kept for ever.
WITH RECURSIVE found (retention_s) AS (
    SELECT min(retention_s) FROM background_task WHERE retention_s IS NOT NULL
    UNION ALL
    SELECT (
        SELECT min(task.retention_s) FROM background_task AS task
        WHERE task.retention_s IS NOT NULL AND task.retention_s > found.retention_s
    )
    FROM found
    WHERE found.retention_s IS NOT NULL
)
SELECT retention_s FROM found WHERE retention_s < ?1
