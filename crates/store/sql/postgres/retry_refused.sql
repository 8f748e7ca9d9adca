-- Lets messages of the outbox be tried once more that were refused, and tells which.
-- Parameters: 1 positions.
UPDATE outbox SET refusal = NULL
WHERE position = ANY ($1::text[]::int8[]) AND refusal IS NOT NULL AND sent_at IS NULL
RETURNING position
