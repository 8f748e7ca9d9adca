-- Tells callers in Python that tasks were revoked, of those that nobody has begun, as Celery's workers do.
-- Parameters: 1 task ids, a JSON array of texts, 2 result.
INSERT INTO celery_taskmeta AS m (task_id, status, result, date_done, retries)
SELECT
    one.value, 'REVOKED', ?2, strftime('%Y-%m-%d %H:%M:%f000', 'now'), 0
FROM json_each(?1) AS one
LEFT JOIN background_task AS t ON t.task_id = one.value
WHERE t.task_id IS NULL OR t.state IN ('PENDING', 'UNROUTABLE', 'RECEIVED', 'RETRY') AND json_extract(t.options, '$.ignore_result') IS NOT true
ON CONFLICT (task_id) DO UPDATE SET
    status = excluded.status, result = excluded.result, date_done = excluded.date_done, traceback = NULL
WHERE coalesce(m.status, 'PENDING') IN ('PENDING', 'RECEIVED', 'RETRY', 'REJECTED')
