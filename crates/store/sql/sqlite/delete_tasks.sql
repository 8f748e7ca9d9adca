-- Removes the rows of those tasks that are over and may be changed by people, and tells which.
-- Parameters: 1 task ids, a JSON array.
DELETE FROM background_task
WHERE task_id IN (SELECT value FROM json_each(?1))
    AND state IN ('SUCCESS', 'FAILURE', 'REVOKED', 'REJECTED')
    AND NOT immutable
RETURNING task_id
