-- Seconds until the next message of the outbox is due that is not due yet.
WITH RECURSIVE queues (queue) AS (
    SELECT min(queue) FROM outbox WHERE sent_at IS NULL AND refusal IS NULL
    UNION ALL
    SELECT (
        SELECT min(next.queue) FROM outbox AS next
        WHERE next.sent_at IS NULL AND next.refusal IS NULL AND next.queue > queues.queue
    )
    FROM queues
    WHERE queues.queue IS NOT NULL
)
SELECT extract(epoch FROM min(next.due_at) - now())::float8
FROM queues
CROSS JOIN LATERAL (
    SELECT due_at FROM outbox
    WHERE outbox.queue = queues.queue AND sent_at IS NULL AND refusal IS NULL AND due_at > now()
    ORDER BY due_at
    LIMIT 1
) AS next
