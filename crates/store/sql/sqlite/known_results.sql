-- Outcomes of these tasks, as far as they count in charts.
-- Parameters: 1 task ids, a JSON array.
SELECT task_id, run, status, date_done, runtime_ms FROM task_result
WHERE task_id IN (SELECT value FROM json_each(?1))
