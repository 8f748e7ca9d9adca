-- Removes what callers in Python were told of tasks.
-- Parameters: 1 task ids.
DELETE FROM celery_taskmeta WHERE task_id = ANY ($1::text[])
