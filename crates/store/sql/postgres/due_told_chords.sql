-- Chords of which somebody has to look again, oldest first, also because of what a worker of Celery's wrote.
-- Parameters: 1 limit.
SELECT c.id FROM chord AS c
WHERE EXISTS (
        SELECT 1 FROM background_task AS t
        WHERE t.task_id = c.waits_for AND t.state IN ('SUCCESS', 'FAILURE', 'REVOKED', 'REJECTED')
    )
    OR EXISTS (SELECT 1 FROM skipped_task AS s WHERE s.task_id = c.waits_for)
    OR EXISTS (
        SELECT 1 FROM celery_taskmeta AS m
        WHERE m.task_id = c.waits_for AND m.status IN ('SUCCESS', 'FAILURE', 'REVOKED')
    )
ORDER BY c.created_date, c.id
LIMIT $1
