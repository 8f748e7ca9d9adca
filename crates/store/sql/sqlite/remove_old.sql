-- Removes the rows of those tasks that are still old enough, and tells which. Subtasks of sessions stay until
-- those are over for as long, tasks with dead letters until people have dealt with those, those for whose results
-- a chord waits until it has them, cancelled ones for as long after they were due as what was asked about tasks
-- without a row holds.
-- Parameters: 1 task ids, a JSON array, 2 seconds that they are kept.
DELETE FROM background_task
WHERE task_id IN (SELECT value FROM json_each(?1)) AND NOT immutable AND last_updated < strftime('%Y-%m-%dT%H:%M:%f000Z', 'now', -?2 || ' seconds')
    AND NOT EXISTS (
        SELECT 1 FROM session
        WHERE session.id = background_task.session_id AND (
            session.finished_at IS NULL
            OR session.finished_at >= strftime('%Y-%m-%dT%H:%M:%f000Z', 'now', -?2 || ' seconds')
        )
    )
    AND NOT EXISTS (SELECT 1 FROM chord_member WHERE chord_member.task_id = background_task.task_id)
    AND NOT EXISTS (SELECT 1 FROM dead WHERE dead.task_id = background_task.task_id AND times > handled)
    -- Its message may still come, and workers are told that it was cancelled only while its row says so.
    AND (
        error_kind IN ('cancelled', 'aborted', 'session_timeout') AND worker IS NULL
        AND max(coalesce(eta, ''), coalesce(delayed_until, '')) >= strftime('%Y-%m-%dT%H:%M:%f000Z', 'now', '-90 days')
    ) IS NOT TRUE
RETURNING task_id, id
