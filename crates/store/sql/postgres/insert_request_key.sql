-- Takes a key for a request, if nobody has it.
-- Parameters: 1 owner, 2 key, 3 digest, 4 task id.
INSERT INTO request_key (owner, key, digest, task_id) VALUES ($1, $2, $3, $4)
ON CONFLICT DO NOTHING
