-- How many tasks of each service wait for a time that is to come, of the newest that wait and of the newest that will
-- be retried: so many of each are looked at. The range of one state, and the order by it, leave the planner only the
-- index of unfinished tasks: by another it would read all those that are over, too.
-- Parameters: 1 how many of each are looked at.
SELECT
    waits.service,
    count(*) FILTER (WHERE waits.due > now()) AS tasks,
    min(waits.due) FILTER (WHERE waits.due > now()) AS next_at,
    count(*) FILTER (WHERE NOT waits.again) AS waiting,
    count(*) FILTER (WHERE waits.again) AS retried
FROM (
    (
        SELECT service, GREATEST(eta, delayed_until) AS due, false AS again
        FROM background_task
        WHERE state BETWEEN 'PENDING' AND 'PENDING'
        ORDER BY state DESC, created_date DESC
        LIMIT $1
    )
    UNION ALL
    (
        SELECT service, retry_at AS due, true AS again
        FROM background_task
        WHERE state BETWEEN 'RETRY' AND 'RETRY'
        ORDER BY state DESC, created_date DESC
        LIMIT $1
    )
) AS waits
GROUP BY waits.service
ORDER BY waits.service
