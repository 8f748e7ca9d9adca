-- Removes a chord that nobody waits for any more.
-- Parameters: 1 id.
DELETE FROM chord WHERE id = ?1
