-- Removes old history of tasks without a row.
-- Parameters: 1 task ids, a JSON array, 2 seconds that they are kept.
DELETE FROM task_event
WHERE task_id IN (SELECT value FROM json_each(?1)) AND happened_at < strftime('%Y-%m-%dT%H:%M:%f000Z', 'now', -?2 || ' seconds')
    AND NOT EXISTS (SELECT 1 FROM background_task AS task WHERE task.task_id = task_event.task_id)
