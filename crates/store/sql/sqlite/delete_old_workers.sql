-- Forgets workers that were not heard of for so long.
-- Parameters: 1 seconds.
DELETE FROM worker
WHERE last_heartbeat < strftime('%Y-%m-%dT%H:%M:%f000Z', 'now', '-' || ?1 || ' seconds')
