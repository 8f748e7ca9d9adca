-- Forgets so much of what was asked of workers and has not held for so long, the oldest first.
-- Parameters: 1 seconds, 2 limit.
DELETE FROM control
WHERE id IN (
    SELECT old.id FROM control AS old
    WHERE old.ends_at < strftime('%Y-%m-%dT%H:%M:%f000Z', 'now', -?1 || ' seconds')
    ORDER BY old.ends_at
    LIMIT ?2
)
