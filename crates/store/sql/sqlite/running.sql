-- What these workers run, as far as they told: of each worker up to so many, those that were sent first. Of each state
-- only the newest five thousand are looked at, so that what vanished workers left behind makes nobody wait.
-- Parameters: 1 ids of workers, a JSON array, 2 most of each worker.
SELECT
    listed.id, listed.type, listed.worker,
    (
        SELECT min(event.happened_at)
        FROM task_event AS event
        WHERE event.task_id = listed.task_id AND event.kind = 'STARTED' AND event.run = listed.run
            AND event.rescue = listed.rescue AND event.executions = listed.executions
            AND event.deliveries = listed.deliveries
    ) AS started_at
FROM (
    SELECT
        found.id, found.task_id, found.type, found.worker, found.run, found.rescue, found.executions,
        found.deliveries, found.created_date,
        row_number() OVER (PARTITION BY found.worker ORDER BY found.created_date, found.id) AS place
    FROM (
        SELECT * FROM (SELECT * FROM background_task WHERE state = 'STARTED' AND state <> 'SUCCESS' ORDER BY created_date DESC LIMIT 5000)
        UNION ALL
        SELECT * FROM (SELECT * FROM background_task WHERE state = 'PROGRESS' AND state <> 'SUCCESS' ORDER BY created_date DESC LIMIT 5000)
    ) AS found
    WHERE found.worker IN (SELECT value FROM json_each(?1))
) AS listed
WHERE listed.place <= ?2
ORDER BY listed.worker, listed.created_date, listed.id
