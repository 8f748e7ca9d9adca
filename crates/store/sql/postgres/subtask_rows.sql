-- What the rows of subtasks say that counts. Those count that call themselves part of the session: whoever opens one
-- may name any task. nth: of the parameters, from 0.
-- Parameters: 1 session ids, 2 task ids; as many of each.
SELECT
    w.nth - 1 AS nth, t.state, t.state = 'SUCCESS' AND t.error_kind IS NOT DISTINCT FROM 'skipped' AS skipped,
    t.state = 'RETRY' OR t.executions > 0 OR t.tries > 0 OR t.deliveries > 0 OR t.rescue > 0 OR t.run > 0 AS came_back
FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS w (session_id, task_id, nth)
JOIN background_task AS t ON t.task_id = w.task_id AND t.session_id = w.session_id
