-- Removes the rows of those tasks that are still old enough, and tells which.
-- Parameters: 1 task ids, a JSON array, 2 seconds that they are kept.
DELETE FROM background_task
WHERE task_id IN (SELECT value FROM json_each(?1)) AND NOT immutable AND last_updated < strftime('%Y-%m-%dT%H:%M:%f000Z', 'now', -?2 || ' seconds')
RETURNING task_id
