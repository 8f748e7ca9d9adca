-- Writes the outcome of a run; of two for one run the one with the higher key stays.
-- Parameters: the columns, in their order.
INSERT INTO task_result AS r (
    task_id, run, status, rescue, sticky, executions, deliveries, rank, event_id, result,
    result_raw, error_kind, error_message, traceback, date_done, runtime_ms, worker, tries
)
VALUES (
    ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18
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
