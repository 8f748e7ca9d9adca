-- Removes a dead letter.
-- Parameters: 1 id.
DELETE FROM dead WHERE id = ?1
