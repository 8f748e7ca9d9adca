-- Schedules that are to fire by now, the longest due first.
-- Parameters: 1 how many.
SELECT
    name, cron, time_zone, type, args, kwargs, priority, creator_id, expires_ms, jitter_ms, catch_up,
    enabled, next_at, last_at
FROM schedule
WHERE enabled AND next_at <= strftime('%Y-%m-%dT%H:%M:%f999Z', 'now')
ORDER BY next_at
LIMIT ?1
