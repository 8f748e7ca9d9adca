-- Claims a request once more that nobody has answered for so long.
-- Parameters: 1 owner, 2 key, 3 task id, 4 seconds.
UPDATE request_key SET created_at = strftime('%Y-%m-%dT%H:%M:%f000Z', 'now')
WHERE owner = ?1 AND key = ?2 AND task_id = ?3 AND answered_at IS NULL
    AND (julianday('now') - julianday(created_at)) * 86400.0 >= ?4
