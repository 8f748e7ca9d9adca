-- Removes the rows of those tasks that are still old enough, and tells which. Subtasks of sessions stay until
-- those are over for as long, tasks with dead letters until people have dealt with those, those for whose results
-- a chord waits until it has them, cancelled ones for as long after they were due as what was asked about tasks
-- without a row holds. Rows that somebody writes at
-- this moment are left for the next time.
-- Parameters: 1 task ids, 2 seconds that they are kept.
DELETE FROM background_task
WHERE task_id IN (
    SELECT task_id FROM background_task AS task
    WHERE task_id = ANY ($1::text[]) AND NOT immutable AND last_updated < now() - $2::int8 * interval '1 second'
        AND NOT EXISTS (
            SELECT 1 FROM session
            WHERE session.id = task.session_id AND (session.finished_at IS NULL OR session.finished_at >= now() - $2::int8 * interval '1 second')
        )
        AND NOT EXISTS (SELECT 1 FROM chord_member WHERE chord_member.task_id = task.task_id)
        AND NOT EXISTS (SELECT 1 FROM dead WHERE dead.task_id = task.task_id AND times > handled)
        -- Its message may still come, and workers are told that it was cancelled only while its row says so.
        AND (
            error_kind IN ('cancelled', 'aborted', 'session_timeout') AND worker IS NULL
            AND GREATEST(eta, delayed_until) >= now() - interval '90 days'
        ) IS NOT TRUE
    FOR UPDATE SKIP LOCKED
)
RETURNING task_id, id
