-- Appends a line of history.
-- Parameters: the columns, in their order; at and happened_at are null for now.
INSERT INTO task_event (
    task_id, event_id, at, run, rescue, executions, deliveries, kind, worker, happened_at, detail,
    tries
)
VALUES (
    ?1, ?2, coalesce(?3, strftime('%Y-%m-%dT%H:%M:%f000Z', 'now')), ?4, ?5, ?6, ?7, ?8, ?9,
    coalesce(?10, strftime('%Y-%m-%dT%H:%M:%f000Z', 'now')), ?11, ?12
)
ON CONFLICT DO NOTHING
