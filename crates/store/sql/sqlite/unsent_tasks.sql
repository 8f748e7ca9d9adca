-- Which of these tasks wait in the outbox.
-- Parameters: 1 task ids, a JSON array.
SELECT json_extract(headers, '$.id') FROM outbox WHERE sent_at IS NULL AND json_extract(headers, '$.id') IN (SELECT value FROM json_each(?1))
