-- Subtasks of a session with their tasks, in order: those after a place.
-- Parameters: 1 session id, 2 place (-1: from the first), 3 unfinished ones only, 4 limit.
SELECT
    s.task_id, t.id, s.position, s.type,
    CASE
        WHEN s.status IN ('SUCCESS', 'FAILURE', 'REVOKED', 'REJECTED') THEN s.status
        WHEN t.session_id = s.session_id THEN t.state
        ELSE s.status
    END AS status,
    s.skipped, s.retried_counted, s.retried_uncounted,
    t.state, coalesce(t.run, 0) AS run, coalesce(t.rescue, 0) AS rescue,
    coalesce(t.executions, 0) AS executions, coalesce(t.deliveries, 0) AS deliveries,
    coalesce(t.tries, 0) AS tries, t.worker, t.error_kind, t.error_message,
    t.task_id IS NULL OR coalesce(t.session_id = s.session_id, false) AS is_own,
    t.addressee, t.lease_until IS NOT NULL AS is_leased,
    coalesce(t.copy_run >= 0 OR t.worker IS NOT NULL, false) AS was_sent
FROM session_subtask AS s
LEFT JOIN background_task AS t ON t.task_id = s.task_id
WHERE s.session_id = $1 AND s.position > $2
    AND (NOT $3 OR s.status NOT IN ('SUCCESS', 'FAILURE', 'REVOKED', 'REJECTED'))
ORDER BY s.position
LIMIT $4
