-- How many tasks did what, in steps of so many seconds, by the size of the time that it took. What is not added up
-- yet counts too.
-- Parameters: 1 span, less than nothing where neither service nor type is asked for, 2 from, 3 to, 4 seconds of a step,
-- 5 service, 6 type; the last two may be null.
SELECT strftime('%s', at) / ?4 * ?4 AS begins, what, size, sum(tasks) AS tasks
FROM (
    SELECT at, service, type, what, size, tasks FROM task_rollup
    WHERE span = ?1 AND at >= ?2 AND at < ?3
    UNION ALL
    SELECT at, service, type, what, size, tasks FROM task_rollup_delta
    WHERE at >= ?2 AND at < ?3
) AS rollup
WHERE (?5 IS NULL OR service = ?5) AND (?6 IS NULL OR type = ?6)
GROUP BY 1, 2, 3
