-- How many of these have not been published.
-- Parameters: 1 ids.
SELECT count(*) FROM control WHERE id = ANY ($1::text[]::uuid[]) AND published_at IS NULL
