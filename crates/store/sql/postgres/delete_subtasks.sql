-- Removes what sessions listed.
-- Parameters: 1 ids of sessions.
DELETE FROM session_subtask WHERE session_id = ANY ($1::text[])
