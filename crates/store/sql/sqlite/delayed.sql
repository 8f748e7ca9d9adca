-- How many tasks of each service wait for a time that is to come, of the newest that wait and of the newest that will
-- be retried: so many of each are looked at.
-- Parameters: 1 how many of each are looked at.
SELECT
    waits.service,
    count(*) FILTER (WHERE waits.due > strftime('%Y-%m-%dT%H:%M:%f000Z', 'now')) AS tasks,
    min(waits.due) FILTER (WHERE waits.due > strftime('%Y-%m-%dT%H:%M:%f000Z', 'now')) AS next_at,
    count(*) FILTER (WHERE NOT waits.again) AS waiting,
    count(*) FILTER (WHERE waits.again) AS retried
FROM (
    SELECT * FROM (
        SELECT service, max(coalesce(eta, ''), coalesce(delayed_until, '')) AS due, 0 AS again
        FROM background_task
        WHERE state = 'PENDING' AND state <> 'SUCCESS'
        ORDER BY created_date DESC
        LIMIT ?1
    )
    UNION ALL
    SELECT * FROM (
        SELECT service, retry_at AS due, 1 AS again
        FROM background_task
        WHERE state = 'RETRY' AND state <> 'SUCCESS'
        ORDER BY created_date DESC
        LIMIT ?1
    )
) AS waits
GROUP BY waits.service
ORDER BY waits.service
