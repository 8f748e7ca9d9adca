-- Adds up what transactions have counted, in every span, by type and of all types together, and tells how many rows
-- that were. What somebody else adds up at the moment is left to them.
-- Parameters: 1 spans, 2 limit.
WITH taken AS (
    DELETE FROM task_rollup_delta
    WHERE ctid = ANY (ARRAY(SELECT ctid FROM task_rollup_delta LIMIT $2 FOR UPDATE SKIP LOCKED))
    RETURNING at, service, type, what, size, tasks
), added AS (
    INSERT INTO task_rollup AS r (span, at, service, type, what, size, tasks)
    SELECT
        span, date_bin(abs(span) * interval '1 minute', at, timestamptz 'epoch') AS begins, service, type, what,
        size, sum(tasks)
    FROM (
        SELECT span, at, service, type, what, size, tasks FROM taken, unnest($1::int2[]) AS span
        UNION ALL
        SELECT -span, at, '', '', what, size, tasks FROM taken, unnest($1::int2[]) AS span
    ) AS spans
    GROUP BY span, begins, service, type, what, size
    ORDER BY span, begins, service, type, what, size
    ON CONFLICT (span, at, service, type, what, size) DO UPDATE SET tasks = r.tasks + excluded.tasks
)
SELECT count(*) FROM taken
