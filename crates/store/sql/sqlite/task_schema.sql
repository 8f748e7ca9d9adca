-- Schema of a task's arguments, as the last worker that knows the task announced it.
-- Parameters: 1 name of the task.
SELECT known.value -> 'schema' AS schema
FROM worker
CROSS JOIN json_each(CASE json_type(worker.tasks) WHEN 'array' THEN worker.tasks ELSE '[]' END) AS known
WHERE known.type = 'object'
    AND known.value ->> 'name' = ?1
    AND json_type(known.value, '$.schema') IN ('object', 'true', 'false')
ORDER BY worker.last_heartbeat DESC
LIMIT 1
