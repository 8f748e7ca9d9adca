-- How many subtasks of a session were never sent, as far as is known: no tracking copy came, and no worker told
-- of it. When a session is over, each of its subtasks has had a row: one that is missing was removed.
-- Parameters: 1 id of the session.
SELECT count(*)
FROM session_subtask AS s
JOIN session AS x ON x.id = s.session_id
LEFT JOIN background_task AS t ON t.task_id = s.task_id
WHERE s.session_id = $1
    AND (t.task_id IS NULL AND x.finished_at IS NULL OR t.copy_run < 0 AND t.worker IS NULL)
