-- Removes old history of tasks without a row.
-- Parameters: 1 task ids, 2 seconds that they are kept.
DELETE FROM task_event
WHERE task_id = ANY ($1::text[]) AND happened_at < now() - $2::int8 * interval '1 second'
    AND NOT EXISTS (SELECT 1 FROM background_task AS task WHERE task.task_id = task_event.task_id)
