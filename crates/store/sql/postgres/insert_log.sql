-- Appends lines that handlers wrote.
-- Parameters: one array per column, in the order of the columns.
INSERT INTO task_log AS t (
    task_id, event_id, run, rescue, executions, deliveries, level, message, fields, worker,
    happened_at
)
SELECT
    u.task_id, u.event_id::uuid, u.run, u.rescue, u.executions, u.deliveries, u.level, u.message,
    u.fields::jsonb, u.worker, u.happened_at
FROM unnest(
    $1::text[], $2::text[], $3::int4[], $4::int4[], $5::int4[], $6::int4[], $7::text[],
    $8::text[], $9::text[], $10::text[], $11::timestamptz[]
) AS u (
    task_id, event_id, run, rescue, executions, deliveries, level, message, fields, worker,
    happened_at
)
ON CONFLICT (task_id, event_id) DO NOTHING
