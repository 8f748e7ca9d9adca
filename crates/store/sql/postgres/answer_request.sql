-- Notes that the task of a request is sent.
-- Parameters: 1 owner, 2 key, 3 task id.
UPDATE request_key SET answered_at = now()
WHERE owner = $1 AND key = $2 AND task_id = $3 AND answered_at IS NULL
