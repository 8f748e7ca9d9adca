-- Forgets canaries older than a day.
DELETE FROM canary WHERE sent_at < strftime('%Y-%m-%dT%H:%M:%f000Z', 'now', '-1 day')
