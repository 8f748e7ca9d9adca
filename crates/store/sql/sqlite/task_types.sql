-- Types of all tasks with their services, in alphabetical order. It jumps from one type to the next in the
-- index, however many tasks each of them has.
WITH RECURSIVE found (service, type) AS (
    SELECT * FROM (SELECT service, type FROM background_task ORDER BY service, type LIMIT 1)
    UNION ALL
    SELECT task.service, task.type FROM found
    JOIN background_task AS task ON task.rowid = (
        SELECT next.rowid FROM background_task AS next
        WHERE (next.service, next.type) > (found.service, found.type)
        ORDER BY next.service, next.type LIMIT 1
    )
)
SELECT service, type FROM found
