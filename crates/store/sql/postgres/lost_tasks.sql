-- Tasks whose lease has ended, longest ago first, with what is needed to send them again.
-- Parameters: 1 limit.
SELECT
    task_id, type, run, rescue, executions, deliveries, tries, restarts, worker, lease_ms, exchange,
    routing_key, message, headers::text, properties::text
FROM background_task
WHERE lease_until < now()
ORDER BY lease_until
LIMIT $1
