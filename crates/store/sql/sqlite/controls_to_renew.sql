-- What holds and was published long ago, longest ago first.
-- Parameters: 1 time before which it was published, 2 limit.
SELECT id, kind, subject, run, created_by, created_date, published_at, ends_at
FROM control
WHERE ends_at IS NULL AND published_at < ?1
ORDER BY published_at, id
LIMIT ?2
