-- The messages of tasks, as they were last sent.
-- Parameters: 1 task ids, a JSON array.
SELECT
    task_id, run, exchange, routing_key, message, headers, properties
FROM background_task
WHERE task_id IN (SELECT value FROM json_each(?1)) AND message IS NOT NULL
