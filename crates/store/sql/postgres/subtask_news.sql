-- What is known of subtasks, and what their rows say now. Retries are counted once however often their
-- execution was repeated; without a word about it (Python) a retry counts.
-- Parameters: 1 changed tasks, a JSON array of {"session_id": …, "task_id": …}, 2 ids of sessions that
-- were just opened, a JSON array of texts: all their subtasks are wanted.
WITH wanted AS (
    SELECT session_id, task_id FROM json_to_recordset($1::json) AS u (session_id text, task_id text)
    UNION
    SELECT s.session_id, s.task_id
    FROM json_array_elements_text($2::json) AS opened JOIN session_subtask AS s ON s.session_id = opened
)
SELECT
    s.session_id, s.task_id, x.status IN ('ONGOING', 'ABORTING') AS open, s.status AS known_status,
    s.skipped AS known_skipped, s.retried_counted AS known_counted,
    s.retried_uncounted AS known_uncounted, t.state,
    t.state = 'SUCCESS' AND coalesce(t.error_kind = 'skipped', false) AS skipped,
    coalesce(r.counted, 0) AS counted, coalesce(r.uncounted, 0) AS uncounted
FROM wanted AS w
JOIN session AS x ON x.id = w.session_id
JOIN session_subtask AS s ON s.session_id = w.session_id AND s.task_id = w.task_id
JOIN background_task AS t ON t.task_id = w.task_id AND t.session_id = w.session_id
LEFT JOIN LATERAL (
    SELECT
        count(DISTINCT (e.run, e.rescue, e.executions + e.tries)) FILTER (WHERE e.counted) AS counted,
        count(DISTINCT (e.run, e.rescue, e.executions + e.tries)) FILTER (WHERE NOT e.counted) AS uncounted
    FROM (
        SELECT run, rescue, executions, tries, coalesce((detail ->> 'counted')::boolean, true) AS counted
        FROM task_event WHERE task_id = w.task_id AND kind = 'RETRY'
    ) AS e
) AS r ON t.state = 'RETRY' OR t.executions > 0 OR t.tries > 0 OR t.deliveries > 0 OR t.rescue > 0 OR t.run > 0
