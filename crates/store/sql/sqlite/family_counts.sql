-- How many tasks of a family are in each state.
-- Parameters: 1 task id of its first task.
SELECT state, count(*) AS tasks
FROM background_task
WHERE task_id = ?1 OR root_id = ?1 AND root_id <> task_id
GROUP BY state
ORDER BY state
