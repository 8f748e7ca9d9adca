-- Removes what was counted in a span before a time.
-- Parameters: 1 span, 2 time, 3 limit.
DELETE FROM task_rollup WHERE ctid = ANY (ARRAY(
    SELECT ctid FROM task_rollup WHERE span = $1 AND at < $2 LIMIT $3
))
