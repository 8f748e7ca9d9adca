-- Removes what was counted in a span before a time.
-- Parameters: 1 span, 2 time, 3 limit.
DELETE FROM task_rollup WHERE (span, at, service, type, what, size) IN (
    SELECT span, at, service, type, what, size FROM task_rollup
    WHERE span = ?1 AND at < ?2
    LIMIT ?3
)
