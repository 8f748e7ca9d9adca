-- Writes what became of subtasks.
-- Parameters: 1 a JSON array of {"session_id", "task_id", "status", "skipped", "counted", "uncounted"}.
UPDATE session_subtask SET
    status = u.value ->> 'status', skipped = u.value ->> 'skipped',
    retried_counted = u.value ->> 'counted', retried_uncounted = u.value ->> 'uncounted'
FROM json_each(?1) AS u
WHERE session_subtask.session_id = u.value ->> 'session_id'
    AND session_subtask.task_id = u.value ->> 'task_id'
