-- Who was asked to run tasks, as far as tracking copies tell.
-- Parameters: 1 task ids.
SELECT task_id, service, addressee
FROM background_task
WHERE task_id = ANY ($1::text[]) AND addressee IS NOT NULL
