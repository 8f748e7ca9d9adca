-- When the newest task was sent that has succeeded, of those up to a time; no row when there is none.
-- Parameters: 1 the time.
SELECT created_date FROM background_task
WHERE state = 'SUCCESS' AND created_date <= ?1
ORDER BY created_date DESC
LIMIT 1
