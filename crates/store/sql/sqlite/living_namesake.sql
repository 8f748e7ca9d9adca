-- Another task of the same type with the same identifier that lives.
-- Parameters: 1 type, 2 identifier, 3 task id that is none of the others.
SELECT task_id
FROM background_task
WHERE type = ?1 AND identifier = ?2 AND task_id <> ?3
    AND state NOT IN ('SUCCESS', 'FAILURE', 'REVOKED', 'REJECTED')
ORDER BY run, created_date, task_id
LIMIT 1
