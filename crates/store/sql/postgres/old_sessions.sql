-- Sessions that have been over for as long as they are kept, in the order in which they began. Whatever is over began
-- before, so the index by that time finds them.
-- Parameters: 1 a JSON array of {"type", "seconds"}: how long those are kept whose finalizers are of these types,
-- 2 the least of those seconds, 3 and 4 started_at and id of the last session of the page before, 5 limit.
SELECT s.id, s.started_at, s.total
FROM session AS s
JOIN json_to_recordset($1::json) AS kept (type text, seconds bigint) ON kept.type = s.finalizer_type
WHERE s.started_at <= now() - $2::int8 * interval '1 second'
    AND s.finished_at <= now() - kept.seconds * interval '1 second'
    AND ($3::timestamptz IS NULL OR (s.started_at, s.id) > ($3, $4::text))
ORDER BY s.started_at, s.id
LIMIT $5
