-- Tasks of a service that did not own them yet, oldest first, with what is needed to send them again.
-- Parameters: 1 service, 2 limit.
SELECT
    task_id, type, service, run, rescue, executions, deliveries, exchange, routing_key, message,
    headers::text, properties::text
FROM background_task
WHERE state = 'UNROUTABLE' AND service = $1 AND message IS NOT NULL
ORDER BY created_date, id
LIMIT $2
