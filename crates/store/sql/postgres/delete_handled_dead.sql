-- Removes dead letters whose messages were all taken out of their dead queues.
-- Parameters: 1 ids.
DELETE FROM dead
WHERE id = ANY ($1::text[]::uuid[]) AND times > 0 AND handled >= times
