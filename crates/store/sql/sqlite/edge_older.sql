-- When the task was sent that comes so many places after a time, going back, and whether that is the last one, since
-- there are not so many; no row when there is none.
-- Parameters: 1 the time, 2 how many places.
SELECT created_date, is_last
FROM (
    SELECT * FROM (
        SELECT created_date, false AS is_last FROM background_task
        WHERE created_date <= ?1
        ORDER BY created_date DESC
        LIMIT 1 OFFSET ?2
    ) AS so_many
    UNION ALL
    SELECT * FROM (
        SELECT created_date, true AS is_last FROM background_task
        WHERE created_date <= ?1
        ORDER BY created_date
        LIMIT 1
    ) AS all_of_them
) AS edge
ORDER BY is_last
LIMIT 1
