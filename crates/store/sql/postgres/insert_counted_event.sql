-- Appends lines of history as insert_event.sql does, and counts what they tell first: that a first attempt was
-- started, and how long its task had waited, as far as the copy of that attempt is there and tells since when; and
-- that an execution was retried, which workers and tracking copies both may tell. Each once: Celery's workers do not
-- know that a message was delivered again, so the same attempt may be started twice.
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
RETURNING
    task_id, kind, run, rescue, executions + tries AS retries, happened_at,
    CASE WHEN (run, rescue, executions, deliveries, tries) = (0, 0, 0, 0, 0) THEN
        CASE WHEN kind = 'STARTED' THEN happened_at ELSE (detail ->> 'started_at')::timestamptz END
    END AS started_at
), queued AS (
    INSERT INTO task_rollup_delta (at, service, type, what, size, tasks)
    SELECT
        date_bin('1 minute', LEAST(started_at, now()), timestamptz 'epoch'), service, type, 'queued',
        CASE WHEN (copy_run, copy_rescue, copy_executions) = (0, 0, 0)
            THEN counterfoil_size(trunc(extract(epoch FROM started_at - GREATEST(created_date, eta)) * 1000)::bigint)
            ELSE -100
        END,
        count(*)
    FROM (
        SELECT task_id, min(started_at) AS started_at FROM written WHERE started_at IS NOT NULL GROUP BY task_id
    ) AS start
    -- Looked up in the index whatever the planner believes.
    CROSS JOIN LATERAL (
        SELECT service, type, created_date, eta, copy_run, copy_rescue, copy_executions
        FROM background_task WHERE background_task.task_id = start.task_id LIMIT 1
    ) AS task
    WHERE NOT EXISTS (
        SELECT 1 FROM task_event AS known
        WHERE known.task_id = start.task_id
            AND (known.run, known.rescue, known.executions, known.deliveries, known.tries) = (0, 0, 0, 0, 0)
            AND (known.kind = 'STARTED' OR known.detail ->> 'started_at' IS NOT NULL)
    )
    GROUP BY 1, 2, 3, 5
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
