-- How many tasks are in each state.
-- Parameters: 1 only those sent at this time or later, or null.
SELECT state, count(*) AS tasks
FROM background_task
WHERE ?1 IS NULL OR created_date >= ?1
GROUP BY state
ORDER BY state
