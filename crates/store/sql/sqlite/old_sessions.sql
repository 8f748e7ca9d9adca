-- Sessions that have been over for as long as they are kept, in the order in which they began. Whatever is over began
-- before, so the index by that time finds them.
-- Parameters: 1 a JSON array of {"type", "seconds"}: how long those are kept whose finalizers are of these types,
-- 2 the least of those seconds, 3 and 4 started_at and id of the last session of the page before, 5 limit.
WITH kept (type, before) AS MATERIALIZED (
    SELECT
        rule.value ->> 'type',
        strftime('%Y-%m-%dT%H:%M:%f000Z', 'now', -(rule.value ->> 'seconds') || ' seconds')
    FROM json_each(?1) AS rule
)
SELECT s.id, s.started_at, s.total
FROM session AS s CROSS JOIN kept ON kept.type = s.finalizer_type
WHERE s.started_at <= strftime('%Y-%m-%dT%H:%M:%f000Z', 'now', -?2 || ' seconds')
    AND s.finished_at <= kept.before
    AND (?3 IS NULL OR (s.started_at, s.id) > (?3, ?4))
ORDER BY s.started_at, s.id
LIMIT ?5
