-- Messages of the outbox that are due, in order. It jumps from one queue to the next in the index, so
-- that it does not read what waits for a queue that takes nothing.
-- Parameters: 1 queues that are left out, 2 how many, 3 how many bytes; one message is always read.
WITH RECURSIVE queues (queue) AS (
    SELECT min(queue) FROM outbox WHERE sent_at IS NULL AND refusal IS NULL
    UNION ALL
    SELECT (
        SELECT min(next.queue) FROM outbox AS next
        WHERE next.sent_at IS NULL AND next.refusal IS NULL AND next.queue > queues.queue
    )
    FROM queues
    WHERE queues.queue IS NOT NULL
),
due AS (
    SELECT
        first.*,
        sum(octet_length(first.message)) OVER (ORDER BY first.due_at, first.position)
            - octet_length(first.message) AS bytes_before
    FROM queues
    CROSS JOIN LATERAL (
        SELECT * FROM outbox
        WHERE outbox.queue = queues.queue AND sent_at IS NULL AND refusal IS NULL AND due_at <= now()
        ORDER BY due_at, position
        LIMIT $2
    ) AS first
    WHERE queues.queue <> ALL ($1::text[])
    ORDER BY first.due_at, first.position
    LIMIT $2
)
SELECT
    position, key, queue, message, headers::text, properties::text, exchange, routing_key
FROM due
WHERE bytes_before < $3
ORDER BY due_at, position
