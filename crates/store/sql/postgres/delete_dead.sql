-- Removes dead letters.
-- Parameters: 1 ids.
DELETE FROM dead WHERE id = ANY ($1::text[]::uuid[])
