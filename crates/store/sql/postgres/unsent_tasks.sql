-- Ids of the tasks that wait in the outbox.
SELECT headers ->> 'id' FROM outbox WHERE sent_at IS NULL AND headers ->> 'id' IS NOT NULL
