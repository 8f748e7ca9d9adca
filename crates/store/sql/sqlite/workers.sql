-- Workers, the last heard of first.
SELECT
    id, service, host, pid, version, tasks, phase, queues, limits, running, processed,
    interval_ms, started_at, last_heartbeat, paused, follows_control, hands,
    heard_until
FROM worker
ORDER BY last_heartbeat DESC, id
