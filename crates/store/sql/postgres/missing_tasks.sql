-- Tasks of a service that wait, about which nothing was heard for a while, and of which no message should be
-- in the delay levels: in the order of their ids, with what is needed to send them again. Of a retry only
-- when the message of the coming attempt is known: else its worker has kept it. And those that a worker had
-- which is gone: the broker has taken their messages back, or nobody has them. Of those, and of what a worker put
-- off (its rank is not that of a sending), only of a first delivery: not every queue counts them, and whoever has a
-- later one may not outrank the worker before.
-- Parameters: 1 service whose queues their keys lead to, 2 seconds, 3 task id after which they come,
-- 4 limit.
SELECT
    task_id, type, run, rescue, executions, deliveries, tries, exchange, routing_key, message,
    headers::text, properties::text, delay_bits
FROM background_task
WHERE (
        state = 'PENDING' AND copy_rescue <= rescue AND (rank = 10 OR deliveries = 0)
        OR state = 'RETRY' AND copy_rescue = rescue AND (copy_executions > executions + tries OR rank = 10)
        OR state IN ('RECEIVED', 'STARTED', 'PROGRESS', 'RETRY') AND copy_rescue <= rescue
            AND copy_executions <= executions + tries AND deliveries = 0 AND lease_until IS NULL
            AND EXISTS (
                SELECT 1 FROM worker
                WHERE worker.id = background_task.worker AND (
                    phase = 'stopped'
                    OR last_heartbeat < now() - interval_ms * interval '3 milliseconds' - interval '3 minutes'
                )
            )
    )
    AND addressee = $1 AND copy_run = run AND NOT held
    AND GREATEST(last_updated, eta, retry_at, delayed_until) < now() - $2::float8 * interval '1 second'
    -- Nor one that has not been sent yet.
    AND task_id NOT IN (
        SELECT outbox.headers ->> 'id' FROM outbox
        WHERE sent_at IS NULL AND outbox.headers ->> 'id' IS NOT NULL
    )
    AND task_id > $3::text
ORDER BY task_id
LIMIT $4
