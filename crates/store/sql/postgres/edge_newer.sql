-- When the task was sent that comes so many places after a time, going on; no row when there are not so many.
-- Parameters: 1 the time, 2 how many places.
SELECT created_date FROM background_task
WHERE created_date >= $1
ORDER BY created_date
LIMIT 1 OFFSET $2
