-- Ids without a row that are known elsewhere than in histories, results and logs, and where. Subtasks of
-- sessions that are not over may still be sent, what had not been sent by the end of a session's time was not; what the outbox published long ago may be gone again.
-- What people deleted has no row on purpose.
-- Parameters: 1 limit.
SELECT task_id, place FROM (
    SELECT DISTINCT task_id, 'dead' AS place FROM dead WHERE task_id IS NOT NULL AND times > handled
    UNION ALL
    SELECT subtask.task_id, 'session_subtask'
    FROM session_subtask AS subtask JOIN session ON session.id = subtask.session_id
    WHERE session.status NOT IN ('ONGOING', 'ABORTING') AND NOT (session.timed_out AND subtask.status = 'FAILURE')
        AND session.finished_at > now() - interval '1 hour'
    UNION ALL
    SELECT headers ->> 'id', 'outbox' FROM outbox
    WHERE sent_at > now() - interval '1 hour' AND sent_at < now() - interval '1 minute'
) AS known
WHERE task_id IS NOT NULL
    AND NOT EXISTS (SELECT 1 FROM background_task AS task WHERE task.task_id = known.task_id)
    AND NOT EXISTS (SELECT 1 FROM deleted_task AS deleted WHERE deleted.task_id = known.task_id)
ORDER BY task_id, place
LIMIT $1
