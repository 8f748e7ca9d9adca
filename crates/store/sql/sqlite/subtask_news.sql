-- What is known of subtasks, and what their rows say now. Retries are counted once however often their
-- execution was repeated; without a word about it (Python) a retry counts.
-- Where the session's time is over, what is missing has failed, whatever its row says. Rows count that call
-- themselves part of the session: whoever opens one may name any task.
-- Parameters: 1 changed tasks, a JSON array of {"session_id": …, "task_id": …}, 2 ids of sessions of which
-- all subtasks are wanted, a JSON array of texts.
WITH wanted AS (
    SELECT value ->> 'session_id' AS session_id, value ->> 'task_id' AS task_id FROM json_each(?1)
    UNION
    SELECT s.session_id, s.task_id
    FROM json_each(?2) AS whole JOIN session_subtask AS s ON s.session_id = whole.value
)
SELECT
    s.session_id, s.task_id, x.status IN ('ONGOING', 'ABORTING') AS open, s.status AS known_status,
    s.skipped AS known_skipped, s.retried_counted AS known_counted,
    s.retried_uncounted AS known_uncounted,
    CASE
        WHEN coalesce(t.state, s.status) IN ('SUCCESS', 'FAILURE', 'REVOKED', 'REJECTED')
            THEN coalesce(t.state, s.status)
        WHEN x.timed_out THEN 'FAILURE'
        ELSE coalesce(t.state, s.status)
    END AS state,
    coalesce(t.state = 'SUCCESS' AND t.error_kind = 'skipped', false) AS skipped,
    (
        SELECT count(DISTINCT e.run || ' ' || e.rescue || ' ' || (e.executions + e.tries))
        FROM task_event AS e
        WHERE e.task_id = t.task_id AND e.kind = 'RETRY' AND coalesce(e.detail ->> 'counted', 1)
    ) AS counted,
    (
        SELECT count(DISTINCT e.run || ' ' || e.rescue || ' ' || (e.executions + e.tries))
        FROM task_event AS e
        WHERE e.task_id = t.task_id AND e.kind = 'RETRY' AND NOT coalesce(e.detail ->> 'counted', 1)
    ) AS uncounted
FROM wanted AS w
JOIN session AS x ON x.id = w.session_id
JOIN session_subtask AS s ON s.session_id = w.session_id AND s.task_id = w.task_id
LEFT JOIN background_task AS t ON t.task_id = w.task_id AND t.session_id = w.session_id
