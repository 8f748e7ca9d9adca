-- Removes dead letters that the platform was told of.
-- Parameters: 1 ids.
DELETE FROM dead WHERE id = ANY ($1::text[]::uuid[]) AND times > 0
