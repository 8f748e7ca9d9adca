-- Notes that something that is asked of workers has been published.
-- Parameters: 1 ids, 2 when.
UPDATE control SET published_at = $2 WHERE id = ANY ($1::text[]::uuid[])
