-- Notes that tasks will never be sent, why, and who says so, where the task before them stands as is said here. The first
-- reason stays.
-- Parameters: 1 a JSON array of objects: id, after (task before it), the seven parts of the key of its state, exception
-- (JSON as text).
INSERT INTO skipped_task (task_id, after_id, exception, service)
SELECT u.id, u.after, u.exception, CASE WHEN coalesce(t.addressee, t.service) = t.service THEN t.service END
FROM json_to_recordset($1::json) AS u (
    id text, after text, run int4, rescue int4, executions int4, deliveries int4, tries int4, rank int2, event_id uuid,
    exception text
)
JOIN background_task AS t ON t.task_id = u.after
    AND (t.run, t.rescue, t.executions, t.deliveries, t.tries, t.rank, t.event_id)
    = (u.run, u.rescue, u.executions, u.deliveries, u.tries, u.rank, u.event_id)
ON CONFLICT (task_id) DO NOTHING
