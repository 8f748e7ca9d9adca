-- How many tasks of which type did what, by the size of the time that it took. What is not added up yet counts too.
-- Parameters: 1 span, 2 from, 3 to.
SELECT service, type, what, size, sum(tasks) AS tasks
FROM (
    SELECT service, type, what, size, tasks FROM task_rollup
    WHERE span = ?1 AND at >= ?2 AND at < ?3
    UNION ALL
    SELECT service, type, what, size, tasks FROM task_rollup_delta
    WHERE at >= ?2 AND at < ?3
) AS rollup
WHERE what IN ('REJECTED', 'FAILURE', 'REVOKED', 'SUCCESS')
GROUP BY service, type, what, size
ORDER BY service, type
