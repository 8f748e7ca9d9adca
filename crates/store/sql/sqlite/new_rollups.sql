-- The last position of the oldest rows that nobody has added up.
-- Parameters: 1 limit.
SELECT count(*), max(position) FROM (
    SELECT position FROM task_rollup_delta ORDER BY position LIMIT ?1
)
