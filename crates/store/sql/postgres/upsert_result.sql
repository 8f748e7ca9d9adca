-- Writes the outcomes of runs; of two for one run the one with the higher key stays. None has come later than now, by
-- whose clock ever: what takes its place would be counted in another minute. Counts those that are new, and takes
-- back what they have replaced. The locks on the rows of the tasks keep others from writing the same.
-- Parameters: one array per column, in the order of the columns, 19 types, 20 services.
WITH outcome AS MATERIALIZED (
    SELECT task_id, run, status, LEAST(date_done, now()) AS date_done, runtime_ms, type, service
    FROM unnest(
        $1::text[], $2::int4[], $3::text[], $15::timestamptz[], $16::int8[], $19::text[], $20::text[]
    ) AS u (task_id, run, status, date_done, runtime_ms, type, service)
), before AS MATERIALIZED (
    SELECT task_id, run, r.status, r.date_done, r.runtime_ms, outcome.type, outcome.service
    FROM outcome JOIN task_result AS r USING (task_id, run)
), written AS (
INSERT INTO task_result AS r (
    task_id, run, status, rescue, sticky, executions, deliveries, rank, event_id, result,
    result_raw, error_kind, error_message, traceback, date_done, runtime_ms, worker, tries
)
SELECT
    u.task_id, u.run, u.status, u.rescue, u.sticky, u.executions, u.deliveries, u.rank,
    u.event_id::uuid, u.result::jsonb, u.result_raw, u.error_kind, u.error_message, u.traceback,
    LEAST(u.date_done, now()), u.runtime_ms, u.worker, u.tries
FROM unnest(
    $1::text[], $2::int4[], $3::text[], $4::int4[], $5::int2[], $6::int4[], $7::int4[],
    $8::int2[], $9::text[], $10::text[], $11::bytea[], $12::text[], $13::text[], $14::text[],
    $15::timestamptz[], $16::int8[], $17::text[], $18::int4[]
) AS u (
    task_id, run, status, rescue, sticky, executions, deliveries, rank, event_id, result,
    result_raw, error_kind, error_message, traceback, date_done, runtime_ms, worker, tries
)
ON CONFLICT (task_id, run) DO UPDATE SET
    status = excluded.status,
    rescue = excluded.rescue,
    sticky = excluded.sticky,
    executions = excluded.executions,
    deliveries = excluded.deliveries,
    tries = excluded.tries,
    rank = excluded.rank,
    event_id = excluded.event_id,
    result = excluded.result,
    result_raw = excluded.result_raw,
    error_kind = excluded.error_kind,
    error_message = excluded.error_message,
    traceback = excluded.traceback,
    date_done = excluded.date_done,
    runtime_ms = excluded.runtime_ms,
    worker = excluded.worker
WHERE (excluded.rescue, excluded.sticky, excluded.executions, excluded.deliveries, excluded.tries, excluded.rank, excluded.event_id)
    > (r.rescue, r.sticky, r.executions, r.deliveries, r.tries, r.rank, r.event_id)
RETURNING r.task_id, r.run
), counted AS (
    INSERT INTO task_rollup_delta (at, service, type, what, size, tasks)
    SELECT
        date_bin('1 minute', LEAST(date_done, now()), timestamptz 'epoch'), service, type, status,
        counterfoil_size(runtime_ms), sum(tasks)
    FROM (
        SELECT date_done, service, type, status, runtime_ms, 1 AS tasks
        FROM outcome JOIN written USING (task_id, run)
        UNION ALL
        SELECT date_done, service, type, status, runtime_ms, -1
        FROM before JOIN written USING (task_id, run)
    ) AS change
    GROUP BY 1, 2, 3, 4, 5
    HAVING sum(tasks) <> 0
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
