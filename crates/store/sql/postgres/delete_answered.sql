-- Removes questions about sessions that have been answered.
-- Parameters: 1 ids.
DELETE FROM control WHERE id = ANY ($1::text[]::uuid[]) AND kind = 'session_is'
