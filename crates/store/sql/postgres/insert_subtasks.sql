-- Notes which tasks a session waits for.
-- In the order of the index, which is faster for many, and brings them together that are looked up together.
-- Parameters: 1 session id, 2 ids, 3 types; as many of each, in order.
INSERT INTO session_subtask (session_id, task_id, position, type)
SELECT $1, task_id, place - 1, type
FROM unnest($2::text[], $3::text[]) WITH ORDINALITY AS u (task_id, type, place)
ORDER BY task_id COLLATE "C"
