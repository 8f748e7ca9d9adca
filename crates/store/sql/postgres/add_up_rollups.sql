-- Adds up what transactions have counted, in every span, and tells how many rows that were. What somebody else adds
-- up at the moment is left to them.
-- Parameters: 1 spans, 2 limit.
WITH taken AS (
    DELETE FROM task_rollup_delta
    WHERE ctid = ANY (ARRAY(SELECT ctid FROM task_rollup_delta LIMIT $2 FOR UPDATE SKIP LOCKED))
    RETURNING at, service, type, what, size, tasks
), added AS (
    INSERT INTO task_rollup AS r (span, at, service, type, what, size, tasks)
    SELECT
        span, date_bin(span * interval '1 minute', at, timestamptz 'epoch') AS begins, service, type, what, size,
        sum(tasks)
    FROM taken, unnest($1::int2[]) AS span
    GROUP BY span, begins, service, type, what, size
    ORDER BY span, begins, service, type, what, size
    ON CONFLICT (span, at, service, type, what, size) DO UPDATE SET tasks = r.tasks + excluded.tasks
)
SELECT count(*) FROM taken
