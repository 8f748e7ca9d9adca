-- Forgets canaries older than a day.
DELETE FROM canary WHERE sent_at < now() - interval '1 day'
