-- Forgets markers of more than a minute ago.
DELETE FROM marker WHERE sent_at < now() - interval '1 minute'
