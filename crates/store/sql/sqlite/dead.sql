-- Dead letters that match every filter that is not null, newest first.
-- Parameters: 1 service, 2 id of the record or of the task, 3 limit.
SELECT
    id, service, reason, reason_text, task_id, type, run, rescue, executions, deliveries, died_at,
    times, exchange, routing_key, message, headers, properties
FROM dead
WHERE (?1 IS NULL OR service = ?1)
    AND (?2 IS NULL OR task_id = ?2 OR id = ?2)
ORDER BY died_at DESC, dead.id
LIMIT ?3
