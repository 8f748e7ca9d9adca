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
SELECT (julianday(min((
    SELECT min(next.due_at) FROM outbox AS next
    WHERE
        next.queue = queues.queue AND next.sent_at IS NULL AND next.refusal IS NULL
        AND next.due_at > strftime('%Y-%m-%dT%H:%M:%f999Z', 'now')
))) - julianday('now')) * 86400.0
FROM queues
