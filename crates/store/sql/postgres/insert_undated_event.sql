-- Appends lines of history that have no time of their own to be filed under: those that tracking
-- copies of foreign producers stand for. They are filed under the time of writing, so the primary
-- key cannot tell whether they are there; the lock on the task's row keeps others from adding them. Counts the retries
-- that they tell first, as insert_event.sql does.
-- Parameters: one array per column, in the order of the columns; happened_at is null for now.
WITH written AS (
INSERT INTO task_event (
    at,
    task_id, event_id, run, rescue, executions, deliveries, kind, worker, happened_at, detail,
    tries
)
SELECT
    now(),
    u.task_id, u.event_id::uuid, u.run, u.rescue, u.executions, u.deliveries, u.kind, u.worker,
    coalesce(u.happened_at, now()), u.detail::jsonb, u.tries
FROM unnest(
    $1::text[], $2::text[], $3::int4[], $4::int4[], $5::int4[], $6::int4[], $7::text[],
    $8::text[], $9::timestamptz[], $10::text[], $11::int4[]
) AS u (
    task_id, event_id, run, rescue, executions, deliveries, kind, worker, happened_at, detail,
    tries
)
-- A scalar subquery, because it is looked up in the index whatever the planner believes.
WHERE (
    SELECT known.event_id FROM task_event AS known
    WHERE known.task_id = u.task_id AND known.event_id = u.event_id::uuid
    LIMIT 1
) IS NULL
ON CONFLICT DO NOTHING
RETURNING task_id, kind, run, rescue, executions + tries AS retries, happened_at
), retried AS (
    INSERT INTO task_rollup_delta (at, service, type, what, size, tasks)
    SELECT date_bin('1 minute', LEAST(happened_at, now()), timestamptz 'epoch'), service, type, 'RETRY', -100, count(*)
    FROM (
        SELECT task_id, run, rescue, retries, min(happened_at) AS happened_at
        FROM written WHERE kind = 'RETRY'
        GROUP BY task_id, run, rescue, retries
    ) AS retry
    CROSS JOIN LATERAL (
        SELECT service, type FROM background_task WHERE background_task.task_id = retry.task_id LIMIT 1
    ) AS task
    WHERE NOT EXISTS (
        SELECT 1 FROM task_event AS known
        WHERE known.task_id = retry.task_id AND known.kind = 'RETRY'
            AND (known.run, known.rescue, known.executions + known.tries) = (retry.run, retry.rescue, retry.retries)
    )
    GROUP BY 1, 2, 3
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
