-- Gives a key back whose request came to nothing.
-- Parameters: 1 owner, 2 key, 3 task id.
DELETE FROM request_key WHERE owner = $1 AND key = $2 AND task_id = $3 AND answered_at IS NULL
