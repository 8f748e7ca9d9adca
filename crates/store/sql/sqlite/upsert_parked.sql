-- Parks a message, or counts that it was parked again.
-- Parameters: the columns, in their order.
INSERT INTO parked AS t (
    id, queue, reason, task_id, type, message, headers, properties, exchange, routing_key,
    waits
)
VALUES (
    ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11
)
ON CONFLICT (id) DO UPDATE SET times = t.times + 1, reason = excluded.reason, waits = excluded.waits
