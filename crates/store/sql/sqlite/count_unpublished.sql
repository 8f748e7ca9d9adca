-- How many of these have not been published.
-- Parameters: 1 ids, a JSON array.
SELECT count(*) FROM control
WHERE id IN (SELECT value FROM json_each(?1)) AND published_at IS NULL
