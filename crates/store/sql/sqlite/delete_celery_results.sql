-- Removes what callers in Python were told of tasks.
-- Parameters: 1 task ids, a JSON array.
DELETE FROM celery_taskmeta WHERE task_id IN (SELECT value FROM json_each(?1))
