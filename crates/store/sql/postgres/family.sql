-- A task and everything under it, oldest first. One after the other, so that of a large family no more is read than
-- is asked for.
-- Parameters: 1 task id of the root, 2 limit.
SELECT
    id, task_id, type, service, state, run, rescue, executions, deliveries, tries, event_id::text,
    input::text, options::text, exchange, routing_key, creator_id, related_content_type,
    related_object_id, identifier, parent_id, root_id, session_id, immutable, is_result, held,
    progress_current, progress_total, progress_message, error_kind, error_message, eta, expires,
    retry_at, worker, lease_until, created_date, last_updated
FROM (
    SELECT * FROM background_task WHERE task_id = $1
    UNION ALL
    (
        SELECT * FROM background_task
        WHERE root_id = $1 AND root_id <> task_id
        ORDER BY created_date, id
        LIMIT $2
    )
) AS background_task
ORDER BY created_date, id
LIMIT $2
