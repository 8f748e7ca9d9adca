-- Throws messages of the outbox away that were refused, and tells which.
-- Parameters: 1 positions, a JSON array.
DELETE FROM outbox
WHERE position IN (SELECT CAST(value AS integer) FROM json_each(?1)) AND refusal IS NOT NULL AND sent_at IS NULL
RETURNING position, key
