-- Messages of the outbox that can never be published, oldest first.
-- Parameters: 1 the one with this key, or of the task with this id, 2 how many.
SELECT
    position, key, json_extract(headers, '$.id') AS task_id, routing_key, length(message) AS bytes, refusal,
    created_date
FROM outbox
WHERE refusal IS NOT NULL AND sent_at IS NULL
    AND (?1 IS NULL OR key = ?1 OR json_extract(headers, '$.id') = ?1)
ORDER BY position
LIMIT ?2
