-- Forgets who deleted so many of the tasks that were deleted so long ago, but for those whose dead letters nobody has
-- dealt with.
-- Parameters: 1 seconds, 2 limit.
DELETE FROM deleted_task
WHERE task_id IN (
    SELECT old.task_id FROM deleted_task AS old
    WHERE old.deleted_at < strftime('%Y-%m-%dT%H:%M:%f000Z', 'now', -?1 || ' seconds')
        AND NOT EXISTS (SELECT 1 FROM dead WHERE dead.task_id = old.task_id AND times > handled)
    ORDER BY old.deleted_at
    LIMIT ?2
)
