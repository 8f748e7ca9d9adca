-- Tells callers in Python that tasks failed that will never be sent, where the task before them stands as is said here. Of
-- one that was sent all the same, others tell, and what others told of one stays.
-- Parameters: an array each of task id, task before it, the seven parts of the key of its state, result, time, traceback,
-- name, arguments and keyword arguments.
INSERT INTO celery_taskmeta AS m (
    id, task_id, status, result, date_done, traceback, name, args, kwargs, retries
)
SELECT
    coalesce((SELECT id FROM celery_taskmeta WHERE task_id = u.task_id), nextval('task_id_sequence')),
    u.task_id, 'FAILURE', u.result, u.date_done AT TIME ZONE 'UTC', u.traceback,
    left(u.name, 155), convert_to(u.args, 'UTF8'), convert_to(u.kwargs, 'UTF8'), 0
FROM unnest(
    $1::text[], $2::text[], $3::int4[], $4::int4[], $5::int4[], $6::int4[], $7::int4[], $8::int2[], $9::text[],
    $10::bytea[], $11::timestamptz[], $12::text[], $13::text[], $14::text[], $15::text[]
) AS u (
    task_id, after, run, rescue, executions, deliveries, tries, rank, event_id,
    result, date_done, traceback, name, args, kwargs
)
JOIN background_task AS t ON t.task_id = u.after
    AND (t.run, t.rescue, t.executions, t.deliveries, t.tries, t.rank, t.event_id)
    = (u.run, u.rescue, u.executions, u.deliveries, u.tries, u.rank, u.event_id::uuid)
WHERE NOT EXISTS (SELECT FROM background_task AS sent WHERE sent.task_id = u.task_id)
ON CONFLICT (task_id) DO UPDATE SET
    status = excluded.status,
    result = excluded.result,
    date_done = excluded.date_done,
    traceback = excluded.traceback,
    name = excluded.name,
    args = excluded.args,
    kwargs = excluded.kwargs
WHERE m.status = 'FAILURE' AND m.result = (SELECT told FROM skipped_task AS s WHERE s.task_id = m.task_id)
RETURNING task_id
