-- The messages of tasks, as they were last sent.
-- Parameters: 1 task ids.
SELECT
    task_id, run, exchange, routing_key, message, headers::text, properties::text
FROM background_task
WHERE task_id = ANY ($1::text[]) AND message IS NOT NULL
