-- Forgets requests of so long ago.
-- Parameters: 1 seconds, 2 limit.
DELETE FROM request_key WHERE (owner, key) IN (
    SELECT owner, key FROM request_key
    WHERE created_at < strftime('%Y-%m-%dT%H:%M:%f000Z', 'now', -?1 || ' seconds')
    ORDER BY created_at
    LIMIT ?2
)
