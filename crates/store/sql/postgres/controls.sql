-- What holds of what was asked of workers, newest first.
-- Parameters: 1 kind or null, 2 subject or null, 3 limit.
SELECT id::text, kind, subject, run, created_by, created_date, published_at, ends_at
FROM control
WHERE ends_at IS NULL
    AND ($1::text IS NULL OR kind = $1)
    AND ($2::text IS NULL OR subject = $2)
ORDER BY created_date DESC, id DESC
LIMIT $3
