-- A task and everything under it, oldest first.
-- Parameters: 1 task id of the root, 2 limit.
SELECT
    id, task_id, type, service, state, run, rescue, executions, deliveries, tries, event_id, input,
    options, exchange, routing_key, creator_id, related_content_type, related_object_id,
    identifier, parent_id, root_id, session_id, immutable, is_result, held, progress_current,
    progress_total, progress_message, error_kind, error_message, eta, expires, retry_at, worker,
    lease_until, created_date, last_updated
FROM background_task
WHERE task_id = ?1 OR root_id = ?1 AND root_id <> task_id
ORDER BY created_date, id
LIMIT ?2
