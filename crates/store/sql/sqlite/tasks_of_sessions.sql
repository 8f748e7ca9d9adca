-- All tasks that sessions list.
-- Parameters: 1 ids of sessions, a JSON array of texts.
SELECT session_id, task_id FROM session_subtask WHERE session_id IN (SELECT value FROM json_each(?1))
