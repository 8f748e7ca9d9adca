-- Removes the rows of those tasks that are over and may be changed by people, and tells which. Subtasks stay until
-- their sessions are over, which count on them, and tasks for whose results a chord waits.
-- Parameters: 1 task ids, a JSON array.
DELETE FROM background_task
WHERE task_id IN (SELECT value FROM json_each(?1))
    AND state IN ('SUCCESS', 'FAILURE', 'REVOKED', 'REJECTED')
    AND NOT immutable
    AND NOT EXISTS (
        SELECT 1 FROM session WHERE session.id = background_task.session_id AND session.finished_at IS NULL
    )
    AND NOT EXISTS (SELECT 1 FROM chord_member WHERE chord_member.task_id = background_task.task_id)
RETURNING task_id, id, type
