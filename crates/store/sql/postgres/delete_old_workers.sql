-- Forgets workers that were not heard of for so long.
-- Parameters: 1 seconds.
DELETE FROM worker WHERE last_heartbeat < now() - make_interval(secs => $1)
