-- Removes the results of tasks.
-- Parameters: 1 task ids.
DELETE FROM task_result WHERE task_id = ANY ($1::text[])
