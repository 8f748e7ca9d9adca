-- Tasks that match every filter that is not null, newest first.
-- Parameters: 1 state, 2 service, 3 type (then 2 is its service), 4 creator_id,
-- 5 related_content_type, 6 related_object_id, 7 root task id, 8 sent at this time or later,
-- 9 and 10 created_date and id of the last row of the page before, 11 limit, 12 identifier.
-- SQLite plans without knowing the parameters and walks the rows from the newest: enough for the
-- sizes that it is meant for.
SELECT
    id, task_id, type, service, state, run, rescue, executions, deliveries, tries, event_id, input,
    options, exchange, routing_key, creator_id, related_content_type, related_object_id,
    identifier, parent_id, root_id, session_id, immutable, is_result, held, progress_current,
    progress_total, progress_message, error_kind, error_message, eta, expires, retry_at, worker,
    lease_until, created_date, last_updated
FROM background_task
WHERE (?1 IS NULL OR state = ?1)
    AND (?2 IS NULL OR service = ?2)
    AND (?3 IS NULL OR type = ?3)
    AND (?4 IS NULL OR creator_id = ?4)
    AND (?12 IS NULL OR identifier = ?12)
    AND (?5 IS NULL OR related_content_type = ?5 AND related_object_id = ?6)
    AND (?7 IS NULL OR task_id = ?7 OR root_id = ?7 AND root_id <> task_id)
    AND (?8 IS NULL OR created_date >= ?8)
    AND (?9 IS NULL OR (created_date, id) < (?9, ?10))
ORDER BY created_date DESC, id DESC
LIMIT ?11
