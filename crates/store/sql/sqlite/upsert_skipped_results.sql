-- Tells callers in Python that a task failed that will never be sent, where the task before it stands as is said here. Of one
-- that was sent all the same, others tell, and what others told of it stays.
-- Parameters: 1 task id, 2 task before it, 3 to 9 the parts of the key of its state, 10 result, 11 time, 12 traceback, 13 name,
-- 14 arguments, 15 keyword arguments.
INSERT INTO celery_taskmeta AS m (
    task_id, status, result, date_done, traceback, name, args, kwargs, retries
)
SELECT ?1, 'FAILURE', ?10, ?11, ?12, substr(?13, 1, 155), CAST(?14 AS BLOB), CAST(?15 AS BLOB), 0
FROM background_task AS t
WHERE t.task_id = ?2
    AND (t.run, t.rescue, t.executions, t.deliveries, t.tries, t.rank, t.event_id) = (?3, ?4, ?5, ?6, ?7, ?8, ?9)
    AND NOT EXISTS (SELECT 1 FROM background_task AS sent WHERE sent.task_id = ?1)
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
