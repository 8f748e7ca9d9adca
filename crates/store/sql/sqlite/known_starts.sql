-- Of which of these tasks the history tells that the first attempt was started.
-- Parameters: 1 task ids, a JSON array.
SELECT DISTINCT task_id FROM task_event
WHERE task_id IN (SELECT value FROM json_each(?1))
    AND (run, rescue, executions, deliveries, tries) = (0, 0, 0, 0, 0)
    AND (kind = 'STARTED' OR detail ->> 'started_at' IS NOT NULL)
