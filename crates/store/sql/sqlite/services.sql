-- Services of all tasks, in alphabetical order. It jumps from one service to the next in the index,
-- however many tasks each of them has.
WITH RECURSIVE found (service) AS (
    SELECT min(service) FROM background_task
    UNION ALL
    SELECT (SELECT min(task.service) FROM background_task AS task WHERE task.service > found.service)
    FROM found
    WHERE found.service IS NOT NULL
)
SELECT service FROM found WHERE service IS NOT NULL
