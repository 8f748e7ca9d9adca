-- Forgets who deleted tasks so long ago, but for those whose dead letters nobody has dealt with.
-- Parameters: 1 seconds.
DELETE FROM deleted_task
WHERE deleted_at < strftime('%Y-%m-%dT%H:%M:%f000Z', 'now', -?1 || ' seconds')
    AND NOT EXISTS (SELECT 1 FROM dead WHERE dead.task_id = deleted_task.task_id AND times > handled)
