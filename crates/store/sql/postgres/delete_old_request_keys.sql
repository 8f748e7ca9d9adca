-- Forgets requests of so long ago.
-- Parameters: 1 seconds, 2 limit.
DELETE FROM request_key WHERE (owner, key) IN (
    SELECT owner, key FROM request_key
    WHERE created_at < now() - $1::int8 * interval '1 second'
    ORDER BY created_at
    LIMIT $2
)
