-- Appends lines of history whose time of filing is known, and tells how many were new. Those that count for charts
-- are written by insert_counted_event.sql, which takes longer to plan.
-- Parameters: one array per column, in the order of the columns; happened_at is null for now.
WITH written AS (
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
RETURNING task_id
), told AS (
    -- Tells whoever follows of tasks whose rows stay as they are. Of others it was told with their rows.
    INSERT INTO task_change (kind, ids, id_count)
    SELECT 'task', array_agg(DISTINCT task.id), count(DISTINCT task.id)
    FROM written
    CROSS JOIN LATERAL (
        SELECT id, last_updated FROM background_task WHERE background_task.task_id = written.task_id LIMIT 1
    ) AS task
    WHERE last_updated <> now()
    HAVING count(*) > 0
)
SELECT count(*) FROM written
