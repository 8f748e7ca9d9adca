-- Appends a line that a handler wrote.
-- Parameters: the columns, in their order.
INSERT INTO task_log AS t (
    task_id, event_id, run, rescue, executions, deliveries, level, message, fields, worker,
    happened_at
)
VALUES (
    ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11
)
ON CONFLICT (task_id, event_id) DO NOTHING
