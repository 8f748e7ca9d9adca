-- A task that somebody deleted.
-- Parameters: 1 public id or task id.
SELECT task_id, id, type, deleted_by, deleted_at FROM deleted_task
WHERE id = $1 OR task_id = $1
ORDER BY id = $1 DESC
LIMIT 1
