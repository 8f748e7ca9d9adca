-- Schedules that are to fire by now, the longest due first.
-- Parameters: 1 names of those that are left out, 2 how many.
SELECT
    name, cron, time_zone, type, args, kwargs, priority, creator_id, expires_ms, jitter_ms, catch_up,
    enabled, next_at, last_at
FROM schedule
WHERE enabled AND next_at <= now() AND name <> ALL ($1::text[])
ORDER BY next_at
LIMIT $2
