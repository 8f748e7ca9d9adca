-- Schedules in the order of their names.
-- Parameters: 1 name of the only one, or null.
SELECT
    name, cron, time_zone, type, args, kwargs, priority, creator_id, expires_ms, jitter_ms, catch_up,
    enabled, next_at, last_at
FROM schedule
WHERE $1::text IS NULL OR name = $1::text
ORDER BY name
