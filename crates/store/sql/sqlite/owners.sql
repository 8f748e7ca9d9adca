-- Who was asked to run tasks, as far as tracking copies tell.
-- Parameters: 1 task ids, a JSON array.
SELECT task_id, service, addressee
FROM background_task
WHERE task_id IN (SELECT value FROM json_each(?1)) AND addressee IS NOT NULL
