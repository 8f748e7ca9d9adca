-- What happened to a task last.
-- Parameters: 1 task id, 2 limit.
SELECT
    event_id::text, task_id, run, rescue, executions, deliveries, tries, kind, worker, happened_at,
    detail::text
FROM task_event
WHERE task_id = $1
ORDER BY run DESC, rescue DESC, executions DESC, deliveries DESC, tries DESC, happened_at DESC
LIMIT $2
