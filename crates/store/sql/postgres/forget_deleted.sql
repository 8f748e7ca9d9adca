-- Forgets who deleted so many of the tasks that were deleted so long ago, but for those whose dead letters nobody has
-- dealt with.
-- Parameters: 1 seconds, 2 limit.
DELETE FROM deleted_task
WHERE task_id = ANY (ARRAY(
    SELECT old.task_id FROM deleted_task AS old
    WHERE old.deleted_at < now() - $1::int8 * interval '1 second'
        AND NOT EXISTS (SELECT 1 FROM dead WHERE dead.task_id = old.task_id AND times > handled)
    ORDER BY old.deleted_at
    LIMIT $2
))
