-- What is known of subtasks, and what their rows say now. Retries are counted once however often their
-- execution was repeated; without a word about it (Python) a retry counts.
-- Parameters: 1 changed tasks, a JSON array of {"session_id": …, "task_id": …}, 2 ids of sessions that
-- were just opened, a JSON array of texts: all their subtasks are wanted.
WITH wanted AS (
    SELECT value ->> 'session_id' AS session_id, value ->> 'task_id' AS task_id FROM json_each(?1)
    UNION
    SELECT s.session_id, s.task_id
    FROM json_each(?2) AS opened JOIN session_subtask AS s ON s.session_id = opened.value
)
SELECT
    s.session_id, s.task_id, x.status IN ('ONGOING', 'ABORTING') AS open, s.status AS known_status,
    s.skipped AS known_skipped, s.retried_counted AS known_counted,
    s.retried_uncounted AS known_uncounted, t.state,
    t.state = 'SUCCESS' AND coalesce(t.error_kind = 'skipped', false) AS skipped,
    (
        SELECT count(DISTINCT e.run || ' ' || e.rescue || ' ' || (e.executions + e.tries))
        FROM task_event AS e
        WHERE e.task_id = w.task_id AND e.kind = 'RETRY' AND coalesce(e.detail ->> 'counted', 1)
    ) AS counted,
    (
        SELECT count(DISTINCT e.run || ' ' || e.rescue || ' ' || (e.executions + e.tries))
        FROM task_event AS e
        WHERE e.task_id = w.task_id AND e.kind = 'RETRY' AND NOT coalesce(e.detail ->> 'counted', 1)
    ) AS uncounted
FROM wanted AS w
JOIN session AS x ON x.id = w.session_id
JOIN session_subtask AS s ON s.session_id = w.session_id AND s.task_id = w.task_id
JOIN background_task AS t ON t.task_id = w.task_id AND t.session_id = w.session_id
