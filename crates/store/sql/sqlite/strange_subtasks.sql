-- Tasks that call themselves subtasks of open sessions which do not list them.
-- Parameters: 1 changed tasks, a JSON array of {"session_id": …, "task_id": …}.
SELECT u.value ->> 'session_id' AS session_id, u.value ->> 'task_id' AS task_id
FROM json_each(?1) AS u
JOIN session AS x ON x.id = u.value ->> 'session_id' AND x.status IN ('ONGOING', 'ABORTING')
WHERE NOT EXISTS (
    SELECT 1 FROM session_subtask AS s
    WHERE s.session_id = u.value ->> 'session_id' AND s.task_id = u.value ->> 'task_id'
)
