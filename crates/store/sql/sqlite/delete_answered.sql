-- Removes questions about sessions that have been answered.
-- Parameters: 1 ids, a JSON array.
DELETE FROM control WHERE id IN (SELECT value FROM json_each(?1)) AND kind = 'session_is'
