-- Questions about sessions that have not been answered, oldest first.
-- Parameters: 1 limit.
SELECT id, kind, subject, run, created_by, created_date, published_at, ends_at
FROM control
WHERE published_at IS NULL AND kind = 'session_is'
ORDER BY created_date, id
LIMIT ?1
