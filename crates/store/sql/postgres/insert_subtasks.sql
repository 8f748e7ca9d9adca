-- Notes which tasks a session waits for.
-- Parameters: 1 session id, 2 ids and types: a JSON array of {"id": …, "task": …} in order.
INSERT INTO session_subtask (session_id, task_id, position, type)
SELECT $1, subtask ->> 'id', place - 1, subtask ->> 'task'
FROM json_array_elements($2::json) WITH ORDINALITY AS u (subtask, place)
