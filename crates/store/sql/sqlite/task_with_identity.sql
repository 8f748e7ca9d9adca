-- The task of a type with an identifier: the first that lives, else the last that was sent.
-- Parameters: 1 type, 2 identifier.
SELECT
    id, task_id, type, service, state, run, rescue, executions, deliveries, tries, event_id, input,
    options, exchange, routing_key, creator_id, related_content_type, related_object_id,
    identifier, parent_id, root_id, session_id, immutable, is_result, held, progress_current,
    progress_total, progress_message, error_kind, error_message, eta, expires, retry_at, worker,
    lease_until, created_date, last_updated
FROM background_task
WHERE type = ?1 AND identifier = ?2
ORDER BY
    state NOT IN ('SUCCESS', 'FAILURE', 'REVOKED', 'REJECTED') DESC,
    CASE WHEN state NOT IN ('SUCCESS', 'FAILURE', 'REVOKED', 'REJECTED') THEN run END,
    CASE WHEN state NOT IN ('SUCCESS', 'FAILURE', 'REVOKED', 'REJECTED') THEN created_date END,
    CASE WHEN state NOT IN ('SUCCESS', 'FAILURE', 'REVOKED', 'REJECTED') THEN task_id END,
    created_date DESC, task_id DESC
LIMIT 1
