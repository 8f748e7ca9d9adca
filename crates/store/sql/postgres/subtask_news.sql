-- What is known of subtasks, what their rows say now, and whether they may have been retried.
-- Where the session's time is over, what is missing has failed, whatever its row says. Rows count that call
-- themselves part of the session: whoever opens one may name any task.
-- Each is looked up (OFFSET 0): fresh tables have no statistics, by which the planner would rather read them whole.
-- Parameters: 1 session ids, 2 task ids, as many.
SELECT
    w.session_id, w.task_id, s.task_id IS NOT NULL AS listed, x.status IN ('ONGOING', 'ABORTING') AS open,
    coalesce(s.status, 'PENDING') AS known_status, coalesce(s.skipped, false) AS known_skipped,
    coalesce(s.retried_counted, 0) AS known_counted, coalesce(s.retried_uncounted, 0) AS known_uncounted,
    CASE
        WHEN coalesce(t.state, s.status, 'PENDING') IN ('SUCCESS', 'FAILURE', 'REVOKED', 'REJECTED')
            THEN coalesce(t.state, s.status, 'PENDING')
        WHEN x.timed_out THEN 'FAILURE'
        ELSE coalesce(t.state, s.status, 'PENDING')
    END AS state,
    coalesce(t.state = 'SUCCESS' AND t.error_kind = 'skipped', false) AS skipped,
    coalesce(t.state = 'RETRY' OR t.executions > 0 OR t.tries > 0 OR t.deliveries > 0 OR t.rescue > 0 OR t.run > 0, false)
        AS came_back
FROM unnest($1::text[], $2::text[]) AS w (session_id, task_id)
JOIN session AS x ON x.id = w.session_id
LEFT JOIN LATERAL (
    SELECT * FROM session_subtask WHERE session_id = w.session_id AND task_id = w.task_id OFFSET 0
) AS s ON true
LEFT JOIN LATERAL (
    SELECT task_id, state, error_kind, executions, tries, deliveries, rescue, run FROM background_task
    WHERE task_id = w.task_id AND session_id = w.session_id OFFSET 0
) AS t ON true
