-- Tasks that match every filter that is not null, newest first.
-- Parameters: 1 state, 2 service, 3 type (then 2 is its service), 4 creator_id,
-- 5 related_content_type, 6 related_object_id, 7 root task id, 8 sent at this time or later,
-- 9 and 10 created_date and id of the last row of the page before, 11 limit, 12 identifier.
-- Planned anew for every call, so that filters that are null vanish and others find their index.
SELECT
    id, task_id, type, service, state, run, rescue, executions, deliveries, tries, event_id::text,
    input::text, options::text, exchange, routing_key, creator_id, related_content_type,
    related_object_id, identifier, parent_id, root_id, session_id, immutable, is_result, held,
    progress_current, progress_total, progress_message, error_kind, error_message, eta, expires,
    retry_at, worker, lease_until, created_date, last_updated
FROM background_task
WHERE ($1::text IS NULL OR state = $1)
    AND ($2::text IS NULL OR service = $2)
    AND ($3::text IS NULL OR type = $3)
    AND ($4::text IS NULL OR creator_id = $4)
    AND ($12::text IS NULL OR identifier = $12)
    AND ($5::text IS NULL OR related_content_type = $5 AND related_object_id = $6)
    AND ($7::text IS NULL OR task_id = $7 OR root_id = $7 AND root_id <> task_id)
    AND ($8::timestamptz IS NULL OR created_date >= $8)
    AND ($9::timestamptz IS NULL OR (created_date, id) < ($9, $10::text))
ORDER BY created_date DESC, id DESC
LIMIT $11
