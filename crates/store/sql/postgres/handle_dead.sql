-- Counts messages that were taken out of dead queues. One that the platform was not told of yet gets a
-- row that is not listed.
-- Parameters: one array per column, in the order of the columns; died_at is null for now.
INSERT INTO dead AS t (
    id, service, reason, reason_text, task_id, type, run, rescue, executions, deliveries, message,
    headers, properties, exchange, routing_key, died_at, handled, times
)
SELECT
    u.id::uuid, u.service, u.reason, u.reason_text, u.task_id, u.type, u.run, u.rescue,
    u.executions, u.deliveries, u.message, u.headers::jsonb, u.properties::jsonb, u.exchange,
    u.routing_key, coalesce(u.died_at, now()), u.handled, 0
FROM unnest(
    $1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::int4[],
    $8::int4[], $9::int4[], $10::int4[], $11::bytea[], $12::text[], $13::text[], $14::text[],
    $15::text[], $16::timestamptz[], $17::int8[]
) AS u (
    id, service, reason, reason_text, task_id, type, run, rescue, executions, deliveries, message,
    headers, properties, exchange, routing_key, died_at, handled
)
ON CONFLICT (id) DO UPDATE SET handled = t.handled + excluded.handled
