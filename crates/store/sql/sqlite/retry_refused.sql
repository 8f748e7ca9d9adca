-- Lets messages of the outbox be tried once more that were refused, and tells which.
-- Parameters: 1 positions, a JSON array.
UPDATE outbox SET refusal = NULL
WHERE position IN (SELECT CAST(value AS integer) FROM json_each(?1)) AND refusal IS NOT NULL AND sent_at IS NULL
RETURNING position
