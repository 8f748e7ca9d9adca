-- Which of these tasks have rows.
-- Parameters: 1 task ids, a JSON array.
SELECT task_id FROM background_task WHERE task_id IN (SELECT value FROM json_each(?1))
