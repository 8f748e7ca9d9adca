-- Ids of the tasks that wait in the outbox.
SELECT json_extract(headers, '$.id') FROM outbox WHERE sent_at IS NULL AND json_extract(headers, '$.id') IS NOT NULL
