-- Throws messages of the outbox away that were refused, and tells which.
-- Parameters: 1 positions, a JSON array.
DELETE FROM outbox
WHERE position IN (SELECT value::int8 FROM json_array_elements_text($1::json)) AND refusal IS NOT NULL AND sent_at IS NULL
RETURNING position, key
