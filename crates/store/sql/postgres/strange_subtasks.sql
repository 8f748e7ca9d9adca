-- Tasks that call themselves subtasks of open sessions which do not list them.
-- Parameters: 1 changed tasks, a JSON array of {"session_id": …, "task_id": …}.
SELECT u.session_id, u.task_id
FROM json_to_recordset($1::json) AS u (session_id text, task_id text)
JOIN session AS x ON x.id = u.session_id AND x.status IN ('ONGOING', 'ABORTING')
WHERE NOT EXISTS (
    SELECT 1 FROM session_subtask AS s WHERE s.session_id = u.session_id AND s.task_id = u.task_id
)
