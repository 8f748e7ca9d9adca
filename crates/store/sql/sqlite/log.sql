-- Lines that a task's handler wrote last, newest first.
-- Parameters: 1 task id, 2 limit.
SELECT
    event_id, task_id, run, rescue, executions, deliveries, level, message, fields,
    worker, happened_at
FROM task_log
WHERE task_id = ?1
ORDER BY happened_at DESC, event_id DESC
LIMIT ?2
