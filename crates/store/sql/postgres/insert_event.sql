-- Appends lines of history whose time of filing is known.
-- Parameters: one array per column, in the order of the columns; happened_at is null for now.
INSERT INTO task_event (
    task_id, event_id, at, run, rescue, executions, deliveries, kind, worker, happened_at, detail,
    tries
)
SELECT
    u.task_id, u.event_id::uuid, u.at, u.run, u.rescue, u.executions, u.deliveries, u.kind,
    u.worker, coalesce(u.happened_at, now()), u.detail::jsonb, u.tries
FROM unnest(
    $1::text[], $2::text[], $3::timestamptz[], $4::int4[], $5::int4[], $6::int4[], $7::int4[],
    $8::text[], $9::text[], $10::timestamptz[], $11::text[], $12::int4[]
) AS u (
    task_id, event_id, at, run, rescue, executions, deliveries, kind, worker, happened_at, detail,
    tries
)
ON CONFLICT DO NOTHING
