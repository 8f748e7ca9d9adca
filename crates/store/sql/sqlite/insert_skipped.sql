-- Notes that tasks will never be sent, and why. The first reason stays.
-- Parameters: 1 a JSON array of objects: id, exception (JSON as text).
INSERT INTO skipped_task (task_id, exception)
SELECT json_extract(one.value, '$.id'), json_extract(one.value, '$.exception')
FROM json_each(?1) AS one
WHERE true
ON CONFLICT (task_id) DO NOTHING
