-- Tells callers in Python how a task stands that stands as is said here. A success stays, and
-- what no worker says replaces no end.
-- Parameters: 1 task id, 2 to 8 the parts of the key of its state, 9 status, 10 result, 11 time, 12 traceback, 13 children,
-- 14 worker.
INSERT INTO celery_taskmeta AS m (
    task_id, status, result, date_done, traceback, children, name, args, kwargs, worker, retries, queue, stamps
)
SELECT
    ?1, ?9, ?10, ?11, ?12, CAST(?13 AS BLOB),
    substr(t.type, 1, 155), CAST(json_extract(t.input, '$.args') AS BLOB), CAST(json_extract(t.input, '$.kwargs') AS BLOB),
    substr(?14, 1, 155), ?4 + ?6, substr(t.routing_key, 1, 155),
    CASE WHEN json_array_length(t.headers, '$.stamped_headers') > 0
        THEN CAST(json_object(
            'stamped_headers', json(t.headers -> '$.stamped_headers'),
            'stamps', json(coalesce(t.headers -> '$.stamps', '{}'))
        ) AS BLOB) END
FROM background_task AS t
WHERE t.task_id = ?1
    AND (t.run, t.rescue, t.executions, t.deliveries, t.tries, t.rank, t.event_id) = (?2, ?3, ?4, ?5, ?6, ?7, ?8)
    AND json_extract(t.options, '$.ignore_result') IS NOT true
ON CONFLICT (task_id) DO UPDATE SET
    status = excluded.status,
    result = excluded.result,
    date_done = excluded.date_done,
    traceback = excluded.traceback,
    children = excluded.children,
    name = excluded.name,
    args = excluded.args,
    kwargs = excluded.kwargs,
    worker = excluded.worker,
    retries = excluded.retries,
    queue = excluded.queue,
    stamps = excluded.stamps
WHERE m.status IS NOT 'SUCCESS'
    AND (excluded.worker IS NOT NULL OR coalesce(m.status, '') NOT IN ('FAILURE', 'REVOKED'))
