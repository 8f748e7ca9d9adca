-- Removes those of these sessions that are over and of whose tasks no row is left, and tells which.
-- Parameters: 1 ids.
DELETE FROM session
WHERE id = ANY ($1::text[]) AND finished_at IS NOT NULL
    AND NOT EXISTS (SELECT 1 FROM background_task AS task WHERE task.task_id = session.finalizer_id)
    AND NOT EXISTS (
        SELECT 1 FROM session_subtask AS subtask
        JOIN background_task AS task ON task.task_id = subtask.task_id AND task.session_id = subtask.session_id
        WHERE subtask.session_id = session.id
    )
RETURNING id
