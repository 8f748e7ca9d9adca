-- Ends a session, once.
-- Parameters: 1 id, 2 status, 3 milliseconds that it took.
UPDATE session SET status = ?2, duration_ms = ?3, finished_at = strftime('%Y-%m-%dT%H:%M:%f000Z', 'now')
WHERE id = ?1 AND status IN ('ONGOING', 'ABORTING')
