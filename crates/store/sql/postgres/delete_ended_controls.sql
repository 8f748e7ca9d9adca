-- Forgets so much of what was asked of workers and has not held for so long, the oldest first.
-- Parameters: 1 seconds, 2 limit.
DELETE FROM control
WHERE id = ANY (ARRAY(
    SELECT old.id FROM control AS old
    WHERE old.ends_at < now() - $1::int8 * interval '1 second'
    ORDER BY old.ends_at
    LIMIT $2
))
