-- Services whose queue tasks should have come to that found none, in alphabetical order. It jumps from
-- one service to the next in the index, however many tasks each of them has.
WITH RECURSIVE found (service) AS (
    SELECT min(addressee) FROM background_task WHERE state = 'UNROUTABLE'
    UNION ALL
    SELECT (
        SELECT min(task.addressee) FROM background_task AS task
        WHERE task.state = 'UNROUTABLE' AND task.addressee > found.service
    )
    FROM found
    WHERE found.service IS NOT NULL
)
SELECT service FROM found WHERE service IS NOT NULL
