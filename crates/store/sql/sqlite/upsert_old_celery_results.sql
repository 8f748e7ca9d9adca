-- Tells callers in Python how a task stands that stands as is said here, in a table of a Celery older than 5.7. A success stays, and
-- what no worker says replaces no end.
-- Parameters: 1 task id, 2 to 8 the parts of the key of its state, 9 status, 10 result, 11 time, 12 traceback, 13 children,
-- 14 worker.
INSERT INTO celery_taskmeta AS m (
    task_id, status, result, date_done, traceback, name, args, kwargs, worker, retries, queue
)
SELECT
    ?1, ?9, ?10, ?11, ?12,
    substr(t.type, 1, 155), CAST(json_extract(t.input, '$.args') AS BLOB), CAST(json_extract(t.input, '$.kwargs') AS BLOB),
    substr(?14, 1, 155), ?4 + ?6, substr(t.routing_key, 1, 155)
FROM background_task AS t
WHERE t.task_id = ?1
    AND (t.run, t.rescue, t.executions, t.deliveries, t.tries, t.rank, t.event_id) = (?2, ?3, ?4, ?5, ?6, ?7, ?8)
    AND json_extract(t.options, '$.ignore_result') IS NOT true
    AND (?13 IS NULL OR true)
ON CONFLICT (task_id) DO UPDATE SET
    status = excluded.status,
    result = excluded.result,
    date_done = excluded.date_done,
    traceback = excluded.traceback,
    name = excluded.name,
    args = excluded.args,
    kwargs = excluded.kwargs,
    worker = excluded.worker,
    retries = excluded.retries,
    queue = excluded.queue
WHERE m.status IS NOT 'SUCCESS'
    AND (excluded.worker IS NOT NULL OR coalesce(m.status, '') NOT IN ('FAILURE', 'REVOKED'))
