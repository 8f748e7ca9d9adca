-- Removes the logs of tasks.
-- Parameters: 1 task ids, a JSON array.
DELETE FROM task_log WHERE task_id IN (SELECT value FROM json_each(?1))
