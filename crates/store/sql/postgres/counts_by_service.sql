-- How many tasks of each service are in each state.
-- Parameters: 1 only those sent at this time or later, or null.
SELECT service, state, count(*) AS tasks
FROM background_task
WHERE $1::timestamptz IS NULL OR created_date >= $1
GROUP BY service, state
ORDER BY service, state
