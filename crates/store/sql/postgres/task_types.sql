-- Types of all tasks with their services, in alphabetical order. It jumps from one type to the next in the
-- index, however many tasks each of them has.
WITH RECURSIVE found (service, type) AS (
    SELECT * FROM (
        SELECT service, type FROM background_task ORDER BY service, type LIMIT 1
    ) AS first
    UNION ALL
    SELECT next.service, next.type FROM found
    JOIN LATERAL (
        SELECT task.service, task.type FROM background_task AS task
        WHERE (task.service, task.type) > (found.service, found.type)
        ORDER BY task.service, task.type LIMIT 1
    ) AS next ON true
)
SELECT service, type FROM found
