-- Notes what callers in Python were told of tasks that will never be sent.
-- Parameters: 1 task ids, a JSON array of texts.
UPDATE skipped_task AS s SET told = m.result
FROM celery_taskmeta AS m
WHERE m.task_id = s.task_id AND s.task_id IN (SELECT json_array_elements_text($1::json))
