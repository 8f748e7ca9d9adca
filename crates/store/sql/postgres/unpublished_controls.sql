-- What was asked of workers and has not been published, oldest first, without questions about sessions.
-- Parameters: 1 limit.
SELECT id::text, kind, subject, run, created_by, created_date, published_at, ends_at
FROM control
WHERE published_at IS NULL AND kind <> 'session_is'
ORDER BY created_date, control.id
LIMIT $1
