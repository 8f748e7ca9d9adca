-- Living tasks of whose type another one lives that has the same identifier and was sent before, with the
-- first of those: by run, time and id, the same for whoever asks. Those that somebody has cancelled are
-- left out.
-- Parameters: 1 limit.
SELECT t.task_id, (
    SELECT f.task_id
    FROM background_task AS f
    WHERE f.identifier = t.identifier AND f.type = t.type
        AND f.state NOT IN ('SUCCESS', 'FAILURE', 'REVOKED', 'REJECTED')
    ORDER BY f.run, f.created_date, f.task_id
    LIMIT 1
) AS first_id
FROM background_task AS t
WHERE t.identifier IS NOT NULL
    AND t.state NOT IN ('SUCCESS', 'FAILURE', 'REVOKED', 'REJECTED')
    AND EXISTS (
        SELECT 1
        FROM background_task AS f
        WHERE f.identifier = t.identifier AND f.type = t.type
            AND f.state NOT IN ('SUCCESS', 'FAILURE', 'REVOKED', 'REJECTED')
            AND (f.run, f.created_date, f.task_id) < (t.run, t.created_date, t.task_id)
    )
    AND NOT EXISTS (
        SELECT 1 FROM control AS c
        WHERE c.kind = 'revoke' AND c.subject = t.task_id AND c.run >= t.run AND c.ends_at IS NULL
    )
ORDER BY t.task_id
LIMIT ?1
