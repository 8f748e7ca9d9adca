-- Tasks whose key led to no queue, of one service that it should have led to, oldest first, with what
-- is needed to send them again. Those that are held back wait.
-- Parameters: 1 service, 2 whether only those that were never sent again, 3 and 4 created_date and id of
-- the last task of the page before, 5 limit.
SELECT
    id, created_date, task_id, type, run, rescue, executions, deliveries, exchange, routing_key, message,
    headers, properties
FROM background_task
WHERE state = 'UNROUTABLE' AND addressee = ?1 AND message IS NOT NULL AND NOT held
    AND (NOT ?2 OR rescue = 0)
    AND (?3 IS NULL OR (created_date, id) > (?3, ?4))
ORDER BY created_date, id
LIMIT ?5
