-- What is known of the request with a key.
-- Parameters: 1 owner, 2 key.
SELECT digest, task_id, answered_at IS NOT NULL AS answered FROM request_key
WHERE owner = ?1 AND key = ?2
