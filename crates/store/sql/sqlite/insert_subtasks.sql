-- Notes which tasks a session waits for.
-- Parameters: 1 session id, 2 ids and types: a JSON array of {"id": …, "task": …} in order.
INSERT INTO session_subtask (session_id, task_id, position, type)
SELECT ?1, value ->> 'id', key, value ->> 'task' FROM json_each(?2)
