-- Which executions of these tasks were retried, as their histories tell.
-- Parameters: 1 task ids, a JSON array.
SELECT DISTINCT task_id, run, rescue, executions + tries FROM task_event
WHERE task_id IN (SELECT value FROM json_each(?1)) AND kind = 'RETRY'
