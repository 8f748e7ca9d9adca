-- Tells callers in Python that tasks were revoked, of those that nobody has begun, as Celery's workers do.
-- Parameters: 1 task ids, a JSON array of texts, 2 result.
INSERT INTO celery_taskmeta AS m (id, task_id, status, result, date_done, retries)
SELECT
    coalesce((SELECT id FROM celery_taskmeta WHERE task_id = u.task_id), nextval('task_id_sequence')),
    u.task_id, 'REVOKED', $2, now() AT TIME ZONE 'UTC', 0
FROM json_array_elements_text($1::json) AS u (task_id)
LEFT JOIN background_task AS t ON t.task_id = u.task_id
WHERE t.task_id IS NULL OR t.state IN ('PENDING', 'UNROUTABLE', 'RECEIVED', 'RETRY') AND t.options ->> 'ignore_result' IS DISTINCT FROM 'true'
ON CONFLICT (task_id) DO UPDATE SET
    status = excluded.status, result = excluded.result, date_done = excluded.date_done, traceback = NULL
WHERE coalesce(m.status, 'PENDING') IN ('PENDING', 'RECEIVED', 'RETRY', 'REJECTED')
