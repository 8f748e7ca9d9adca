-- Counts messages that were taken out of a dead queue. One that the platform was not told of yet gets a
-- row that is not listed.
-- Parameters: the columns, in their order; died_at is null for now.
INSERT INTO dead AS t (
    id, service, reason, reason_text, task_id, type, run, rescue, executions, deliveries, message,
    headers, properties, exchange, routing_key, died_at, handled, times
)
VALUES (
    ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15,
    coalesce(?16, strftime('%Y-%m-%dT%H:%M:%f000Z', 'now')), ?17, 0
)
ON CONFLICT (id) DO UPDATE SET handled = t.handled + excluded.handled
