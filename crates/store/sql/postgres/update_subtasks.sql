-- Writes what became of subtasks.
-- Parameters: 1 a JSON array of {"session_id", "task_id", "status", "skipped", "counted", "uncounted"}.
UPDATE session_subtask AS s SET
    status = u.status, skipped = u.skipped, retried_counted = u.counted, retried_uncounted = u.uncounted
FROM json_to_recordset($1::json) AS u (
    session_id text, task_id text, status text, skipped boolean, counted integer, uncounted integer
)
WHERE s.session_id = u.session_id AND s.task_id = u.task_id
