-- Records signs of life of workers; tasks that one does not tell stay as they were.
-- Parameters: one array per column, in the order of the columns.
INSERT INTO worker AS t (
    id, service, host, pid, version, tasks, phase, queues, limits, running, processed,
    interval_ms, started_at, paused, follows_control, hands, heard_until
)
SELECT
    u.id, u.service, u.host, u.pid, u.version, u.tasks::json, u.phase, u.queues::jsonb,
    u.limits::jsonb, u.running, u.processed, u.interval_ms, u.started_at, u.paused::jsonb,
    u.follows_control, u.hands::jsonb, u.heard_until
FROM unnest(
    $1::text[], $2::text[], $3::text[], $4::int8[], $5::text[], $6::text[], $7::text[],
    $8::text[], $9::text[], $10::int8[], $11::int8[], $12::int8[], $13::timestamptz[],
    $14::text[], $15::bool[], $16::text[], $17::timestamptz[]
) AS u (
    id, service, host, pid, version, tasks, phase, queues, limits, running, processed,
    interval_ms, started_at, paused, follows_control, hands, heard_until
)
ON CONFLICT (id) DO UPDATE SET
    host = excluded.host,
    pid = excluded.pid,
    version = excluded.version,
    tasks = coalesce(excluded.tasks, t.tasks),
    phase = excluded.phase,
    queues = excluded.queues,
    limits = excluded.limits,
    running = excluded.running,
    processed = excluded.processed,
    interval_ms = excluded.interval_ms,
    started_at = excluded.started_at,
    paused = excluded.paused,
    follows_control = excluded.follows_control,
    hands = excluded.hands,
    heard_until = excluded.heard_until,
    last_heartbeat = now()
-- Its id is not a secret: whoever speaks for it under another service is not believed.
WHERE t.service = excluded.service
