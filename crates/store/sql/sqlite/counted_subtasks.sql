-- What sessions have counted of tasks that they list. nth: of the parameters, from 0.
-- Parameters: 1 a JSON array of {"session_id": …, "task_id": …}.
SELECT w.key AS nth, CAST(s.rowid AS text) AS place, s.status, s.skipped, s.retried_counted, s.retried_uncounted
FROM json_each(?1) AS w
JOIN session_subtask AS s ON s.session_id = w.value ->> 'session_id' AND s.task_id = w.value ->> 'task_id'
