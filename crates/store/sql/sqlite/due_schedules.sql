-- Schedules that are to fire by now, the longest due first.
-- Parameters: 1 names of those that are left out, a JSON array, 2 how many.
SELECT
    name, cron, time_zone, type, args, kwargs, priority, creator_id, expires_ms, jitter_ms, catch_up,
    enabled, next_at, last_at
FROM schedule
WHERE enabled AND next_at <= strftime('%Y-%m-%dT%H:%M:%f999Z', 'now')
    AND name NOT IN (SELECT value FROM json_each(?1))
ORDER BY next_at
LIMIT ?2
