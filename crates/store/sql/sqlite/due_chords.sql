-- Chords of which somebody has to look again, oldest first.
-- Parameters: 1 limit.
SELECT c.id FROM chord AS c
WHERE EXISTS (
        SELECT 1 FROM background_task AS t
        WHERE t.task_id = c.waits_for AND t.state IN ('SUCCESS', 'FAILURE', 'REVOKED', 'REJECTED')
    )
    OR EXISTS (SELECT 1 FROM skipped_task AS s WHERE s.task_id = c.waits_for)
ORDER BY c.created_date, c.id
LIMIT ?1
