-- Parks messages, or counts that they were parked again.
-- Parameters: one array per column, in the order of the columns.
INSERT INTO parked AS t (
    id, queue, reason, task_id, type, message, headers, properties, exchange, routing_key,
    waits
)
SELECT
    u.id::uuid, u.queue, u.reason, u.task_id, u.type, u.message, u.headers::jsonb,
    u.properties::jsonb, u.exchange, u.routing_key, u.waits
FROM unnest(
    $1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::bytea[], $7::text[],
    $8::text[], $9::text[], $10::text[], $11::boolean[]
) AS u (
    id, queue, reason, task_id, type, message, headers, properties, exchange, routing_key,
    waits
)
ON CONFLICT (id) DO UPDATE SET times = t.times + 1, reason = excluded.reason, waits = excluded.waits
