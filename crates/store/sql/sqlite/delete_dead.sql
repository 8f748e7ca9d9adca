-- Removes a dead letter that the platform was told of.
-- Parameters: 1 id.
DELETE FROM dead WHERE id = ?1 AND times > 0
