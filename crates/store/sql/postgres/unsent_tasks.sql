-- Which of these tasks wait in the outbox.
-- Parameters: 1 task ids.
SELECT headers ->> 'id' FROM outbox WHERE sent_at IS NULL AND headers ->> 'id' = ANY ($1::text[])
