-- Throws messages of the outbox away that were refused, and tells which.
-- Parameters: 1 positions.
DELETE FROM outbox
WHERE position = ANY ($1::text[]::int8[]) AND refusal IS NOT NULL AND sent_at IS NULL
RETURNING position
