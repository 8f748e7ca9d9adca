-- Which of these tasks are subtasks, and of what sessions.
-- Parameters: 1 task ids, a JSON array of texts.
SELECT session_id, task_id FROM background_task
WHERE task_id IN (SELECT json_array_elements_text($1::json)) AND session_id IS NOT NULL
