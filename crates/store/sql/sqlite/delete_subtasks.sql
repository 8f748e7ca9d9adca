-- Removes what sessions listed.
-- Parameters: 1 ids of sessions, a JSON array.
DELETE FROM session_subtask WHERE session_id IN (SELECT value FROM json_each(?1))
