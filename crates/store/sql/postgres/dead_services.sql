-- Services in whose dead queues tasks lie.
-- Parameters: 1 task ids.
SELECT DISTINCT service
FROM dead
WHERE task_id = ANY ($1::text[]) AND times > handled
ORDER BY service
