-- What happened to a task, in no order.
-- Parameters: 1 task id.
SELECT
    event_id::text, task_id, run, rescue, executions, deliveries, kind, worker, happened_at,
    detail::text
FROM task_event
WHERE task_id = $1
