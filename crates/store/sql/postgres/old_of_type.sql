-- Tasks of one type that were sent long enough ago to be removed, oldest first, and whether they may be:
-- over, untouched for as long, and nobody said otherwise. What late reports left of a task that was
-- removed has no tracking copy.
-- Parameters: 1 service, 2 type, 3 seconds, 4 and 5 created_date and id of the last task of the page before,
-- 6 limit.
SELECT
    task_id, created_date, id,
    retention_s IS NULL AND NOT immutable AND last_updated < now() - $3::int8 * interval '1 second'
    AND (
        state IN ('SUCCESS', 'FAILURE', 'REVOKED', 'REJECTED')
        OR copy_run < 0 AND lease_until IS NULL
    ) AS may_go
FROM background_task
WHERE service = $1 AND type = $2 AND created_date < now() - $3::int8 * interval '1 second'
    AND ($4::timestamptz IS NULL OR (created_date, id) > ($4, $5::text))
ORDER BY created_date, id
LIMIT $6
