-- Parked messages that match every filter that is not null, newest first.
-- Parameters: 1 queue, 2 id of the record or of the task, 3 limit, 4 and 5 parked_at and id of the last row of
-- the page before.
SELECT
    id, queue, reason, task_id, type, parked_at, times, exchange, routing_key, message, headers,
    properties
FROM parked
WHERE (?1 IS NULL OR queue = ?1)
    AND (?2 IS NULL OR task_id = ?2 OR id = ?2)
    AND (?4 IS NULL OR (parked_at, parked.id) < (?4, ?5))
ORDER BY parked_at DESC, parked.id DESC
LIMIT ?3
