-- Adds a schedule, unless there is one of that name.
-- Parameters: the columns, in their order.
INSERT INTO schedule (
    name, cron, time_zone, type, args, kwargs, priority, creator_id, expires_ms, jitter_ms, catch_up,
    enabled, next_at
)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)
ON CONFLICT (name) DO NOTHING
