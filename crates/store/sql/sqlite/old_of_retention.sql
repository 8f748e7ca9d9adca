-- Tasks that say so themselves how long they are kept, and were sent long enough ago to be removed,
-- oldest first, and whether they may be: over, and untouched for as long.
-- Parameters: 1 seconds that they are kept, 2 and 3 created_date and id of the last task of the page
-- before, 4 limit.
SELECT
    task_id, created_date, id,
    NOT immutable AND last_updated < strftime('%Y-%m-%dT%H:%M:%f000Z', 'now', -?1 || ' seconds')
    AND state IN ('SUCCESS', 'FAILURE', 'REVOKED', 'REJECTED') AS may_go
FROM background_task
WHERE retention_s = ?1 AND created_date < strftime('%Y-%m-%dT%H:%M:%f000Z', 'now', -?1 || ' seconds')
    AND (?2 IS NULL OR (created_date, id) > (?2, ?3))
ORDER BY created_date, id
LIMIT ?4
