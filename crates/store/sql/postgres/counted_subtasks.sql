-- What sessions have counted of tasks that they list. nth: of the parameters, from 0.
-- Parameters: 1 session ids, 2 task ids; as many of each.
SELECT w.nth - 1 AS nth, s.ctid::text AS place, s.status, s.skipped, s.retried_counted, s.retried_uncounted
FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS w (session_id, task_id, nth)
JOIN session_subtask AS s ON s.session_id = w.session_id AND s.task_id = w.task_id
