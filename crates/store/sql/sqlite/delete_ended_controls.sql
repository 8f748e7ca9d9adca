-- Forgets what was asked of workers and has not held for so long.
-- Parameters: 1 seconds.
DELETE FROM control WHERE ends_at < strftime('%Y-%m-%dT%H:%M:%f000Z', 'now', -?1 || ' seconds')
