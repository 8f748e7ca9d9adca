-- Forgets markers of more than a minute ago.
DELETE FROM marker WHERE sent_at < strftime('%Y-%m-%dT%H:%M:%f000Z', 'now', '-1 minute')
