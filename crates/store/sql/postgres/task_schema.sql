-- Schema of a task's arguments, as the last worker that knows the task announced it.
-- Parameters: 1 name of the task.
SELECT (known.task -> 'schema')::text AS schema
FROM worker
CROSS JOIN LATERAL json_array_elements(
    CASE json_typeof(worker.tasks) WHEN 'array' THEN worker.tasks ELSE '[]' END
) AS known (task)
WHERE known.task ->> 'name' = $1 AND json_typeof(known.task -> 'schema') IN ('object', 'boolean')
ORDER BY worker.last_heartbeat DESC
LIMIT 1
