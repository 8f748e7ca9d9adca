-- Removes the results of tasks.
-- Parameters: 1 task ids, a JSON array.
DELETE FROM task_result WHERE task_id IN (SELECT value FROM json_each(?1))
