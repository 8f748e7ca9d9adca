-- Tasks whose lease has ended, in the order of their ids, with what is needed to send them again.
-- Parameters: 1 task id after which they come, 2 limit.
SELECT
    task_id, type, run, rescue, executions, deliveries, tries, restarts, worker, lease_ms, exchange,
    routing_key, message, headers::text, properties::text
FROM background_task
WHERE lease_until < now() AND task_id > $1::text
ORDER BY task_id
LIMIT $2
