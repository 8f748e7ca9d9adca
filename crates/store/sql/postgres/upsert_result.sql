-- Writes the outcomes of runs; of two for one run the one with the higher key stays.
-- Parameters: one array per column, in the order of the columns.
INSERT INTO task_result AS r (
    task_id, run, status, rescue, sticky, executions, deliveries, rank, event_id, result,
    result_raw, error_kind, error_message, traceback, date_done, runtime_ms, worker, tries
)
SELECT
    u.task_id, u.run, u.status, u.rescue, u.sticky, u.executions, u.deliveries, u.rank,
    u.event_id::uuid, u.result::jsonb, u.result_raw, u.error_kind, u.error_message, u.traceback,
    u.date_done, u.runtime_ms, u.worker, u.tries
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
