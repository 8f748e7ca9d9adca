-- What happened to a task, up to ten thousand lines.
-- Parameters: 1 task id.
SELECT
    event_id::text, task_id, run, rescue, executions, deliveries, kind, worker, happened_at,
    detail::text
FROM task_event
WHERE task_id = $1
ORDER BY run, rescue, executions, deliveries, happened_at
LIMIT 10000
