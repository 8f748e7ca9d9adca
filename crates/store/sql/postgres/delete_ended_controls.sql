-- Forgets what was asked of workers and has not held for so long.
-- Parameters: 1 seconds.
DELETE FROM control WHERE ends_at < now() - $1::int8 * interval '1 second'
