-- Outcomes of those tasks of a family whose results are its own, in the order of their sending.
-- Parameters: 1 task id of its first task.
SELECT
    r.task_id, r.run, r.status, coalesce(r.result::text, convert_from(r.result_raw, 'UTF8')) AS result, r.error_kind,
    r.error_message, r.traceback, r.date_done, r.runtime_ms, r.worker
FROM background_task AS t
JOIN task_result AS r ON r.task_id = t.task_id AND r.run = t.run
WHERE (t.task_id = $1 OR t.root_id = $1 AND t.root_id <> t.task_id) AND t.is_result
ORDER BY t.created_date, t.id
LIMIT 10000
