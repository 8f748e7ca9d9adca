-- Removes the logs of tasks.
-- Parameters: 1 task ids.
DELETE FROM task_log WHERE task_id = ANY ($1::text[])
