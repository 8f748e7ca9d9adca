-- Workers, the last heard of first.
SELECT
    id, service, host, pid, version, tasks::text, phase, queues::text, limits::text, running,
    processed, interval_ms, started_at, last_heartbeat, paused::text, follows_control, hands::text,
    heard_until
FROM worker
ORDER BY last_heartbeat DESC, id
