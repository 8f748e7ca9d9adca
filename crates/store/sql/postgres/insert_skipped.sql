-- Notes that tasks will never be sent, and why. The first reason stays.
-- Parameters: 1 a JSON array of objects: id, exception (JSON as text).
INSERT INTO skipped_task (task_id, exception)
SELECT one.value ->> 'id', one.value ->> 'exception'
FROM jsonb_array_elements($1::text::jsonb) AS one (value)
WHERE true
ON CONFLICT (task_id) DO NOTHING
