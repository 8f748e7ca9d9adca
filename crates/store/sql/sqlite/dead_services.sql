-- Services in whose dead queues tasks lie.
-- Parameters: 1 task ids, a JSON array.
SELECT DISTINCT service
FROM dead
WHERE task_id IN (SELECT value FROM json_each(?1)) AND times > handled
ORDER BY service
