-- Notes what callers in Python were told of tasks that will never be sent.
-- Parameters: 1 task ids, a JSON array of texts.
UPDATE skipped_task SET told = (SELECT m.result FROM celery_taskmeta AS m WHERE m.task_id = skipped_task.task_id)
WHERE task_id IN (SELECT value FROM json_each(?1))
