-- Dead letters that match every filter that is not null, newest first.
-- Parameters: 1 service, 2 id of the record or of the task, 3 reason, 4 type, 5 died at this time or
-- later, 6 limit, 7 and 8 died_at and id of the last row of the page before.
SELECT
    id::text, service, reason, reason_text, task_id, type, run, rescue, executions, deliveries,
    died_at, times, exchange, routing_key, message, headers::text, properties::text
FROM dead
WHERE times > handled
    AND ($1::text IS NULL OR service = $1)
    AND ($2::text IS NULL OR task_id = $2 OR id::text = $2)
    AND ($3::text IS NULL OR reason = $3)
    AND ($4::text IS NULL OR type = $4)
    AND ($5::timestamptz IS NULL OR died_at >= $5)
    AND ($7::timestamptz IS NULL OR (died_at, dead.id::text COLLATE "C") < ($7, $8::text))
ORDER BY died_at DESC, dead.id DESC
LIMIT $6
