-- What is known of the request with a key.
-- Parameters: 1 owner, 2 key.
SELECT digest, task_id, answered_at IS NOT NULL AS answered,
    extract(epoch FROM now() - created_at)::float8 AS age_s
FROM request_key
WHERE owner = $1 AND key = $2
