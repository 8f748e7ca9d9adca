-- Records a dead letter, or counts that it was told of again.
-- Parameters: the columns, in their order; died_at is null for now.
INSERT INTO dead AS t (
    id, service, reason, reason_text, task_id, type, run, rescue, executions, deliveries, message,
    headers, properties, exchange, routing_key, died_at
)
VALUES (
    ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15,
    coalesce(?16, strftime('%Y-%m-%dT%H:%M:%f000Z', 'now'))
)
ON CONFLICT (id) DO UPDATE SET times = t.times + 1
