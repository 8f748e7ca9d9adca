-- Tells callers in Python how tasks stand that stand as is said here. A success stays, and
-- what no worker says replaces no end.
-- Parameters: an array each of task id, the seven parts of the key of its state, status, result, time, traceback,
-- children and worker.
INSERT INTO celery_taskmeta AS m (
    id, task_id, status, result, date_done, traceback, children, name, args, kwargs, worker, retries, queue, stamps
)
SELECT
    -- Numbers are not used up where there is a row.
    coalesce((SELECT id FROM celery_taskmeta WHERE task_id = u.task_id), nextval('task_id_sequence')),
    u.task_id, u.status, u.result, u.date_done AT TIME ZONE 'UTC', u.traceback,
    convert_to(u.children, 'UTF8'),
    left(t.type, 155), convert_to((t.input -> 'args')::text, 'UTF8'), convert_to((t.input -> 'kwargs')::text, 'UTF8'),
    left(u.worker, 155), u.executions + u.tries, left(t.routing_key, 155),
    CASE WHEN jsonb_typeof(t.headers -> 'stamped_headers') = 'array' AND t.headers -> 'stamped_headers' <> '[]'
        THEN convert_to(jsonb_build_object(
            'stamped_headers', t.headers -> 'stamped_headers', 'stamps', coalesce(t.headers -> 'stamps', '{}')
        )::text, 'UTF8') END
FROM unnest(
    $1::text[], $2::int4[], $3::int4[], $4::int4[], $5::int4[], $6::int4[], $7::int2[], $8::text[],
    $9::text[], $10::bytea[], $11::timestamptz[], $12::text[], $13::text[], $14::text[]
) AS u (
    task_id, run, rescue, executions, deliveries, tries, rank, event_id,
    status, result, date_done, traceback, children, worker
)
JOIN background_task AS t ON t.task_id = u.task_id
    AND (t.run, t.rescue, t.executions, t.deliveries, t.tries, t.rank, t.event_id)
    = (u.run, u.rescue, u.executions, u.deliveries, u.tries, u.rank, u.event_id::uuid)
WHERE t.options ->> 'ignore_result' IS DISTINCT FROM 'true'
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
WHERE m.status IS DISTINCT FROM 'SUCCESS'
    AND (excluded.worker IS NOT NULL OR coalesce(m.status, '') NOT IN ('FAILURE', 'REVOKED'))
