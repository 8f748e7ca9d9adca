-- Removes the history of tasks.
-- Parameters: 1 task ids.
DELETE FROM task_event WHERE task_id = ANY ($1::text[])
