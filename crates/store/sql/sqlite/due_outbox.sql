-- Messages of the outbox that are due, in order. It jumps from one queue to the next in the index, so
-- that it does not read what waits for a queue that takes nothing.
-- Parameters: 1 queues that are left out, a JSON array, 2 how many, 3 how many bytes; one message is
-- always read.
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
        sum(length(first.message)) OVER (ORDER BY first.due_at, first.position)
            - length(first.message) AS bytes_before
    FROM queues
    JOIN outbox AS first ON first.position IN (
        SELECT of_queue.position FROM outbox AS of_queue
        WHERE
            of_queue.queue = queues.queue AND of_queue.sent_at IS NULL AND of_queue.refusal IS NULL
            AND of_queue.due_at <= strftime('%Y-%m-%dT%H:%M:%f999Z', 'now')
        ORDER BY of_queue.due_at, of_queue.position
        LIMIT ?2
    )
    WHERE queues.queue NOT IN (SELECT value FROM json_each(?1))
    ORDER BY first.due_at, first.position
    LIMIT ?2
)
SELECT position, key, queue, message, headers, properties, exchange, routing_key
FROM due
WHERE bytes_before < ?3
ORDER BY due_at, position
