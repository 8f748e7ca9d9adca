-- What the rows of subtasks say that counts. Those count that call themselves part of the session: whoever opens one
-- may name any task. nth: of the parameters, from 0.
-- Parameters: 1 a JSON array of {"session_id": …, "task_id": …}.
SELECT
    w.key AS nth, t.state, t.state = 'SUCCESS' AND t.error_kind IS 'skipped' AS skipped,
    t.state = 'RETRY' OR t.executions > 0 OR t.tries > 0 OR t.deliveries > 0 OR t.rescue > 0 OR t.run > 0 AS came_back
FROM json_each(?1) AS w
JOIN background_task AS t ON t.task_id = w.value ->> 'task_id' AND t.session_id = w.value ->> 'session_id'
