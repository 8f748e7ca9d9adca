-- Records a sign of life of a worker; tasks that it does not tell stay as they were.
-- Parameters: the columns, in their order.
INSERT INTO worker AS t (
    id, service, host, pid, version, tasks, phase, queues, limits, running, processed,
    interval_ms, started_at, paused, follows_control, hands, heard_until
)
VALUES (
    ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17
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
    last_heartbeat = strftime('%Y-%m-%dT%H:%M:%f000Z', 'now')
-- Its id is not a secret: whoever speaks for it under another service is not believed.
WHERE t.service = excluded.service
