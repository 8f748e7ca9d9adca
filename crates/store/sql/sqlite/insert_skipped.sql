-- Notes that tasks will never be sent, why, and who says so, where the task before them stands as is said here. The first
-- reason stays.
-- Parameters: 1 a JSON array of objects: id, after (task before it), the seven parts of the key of its state, exception
-- (JSON as text).
INSERT INTO skipped_task (task_id, after_id, exception, service)
SELECT
    one.value ->> 'id', t.task_id, one.value ->> 'exception',
    CASE WHEN coalesce(t.addressee, t.service) = t.service THEN t.service END
FROM json_each(?1) AS one
JOIN background_task AS t ON t.task_id = one.value ->> 'after'
    AND (t.run, t.rescue, t.executions, t.deliveries, t.tries, t.rank, t.event_id) = (
        one.value ->> 'run', one.value ->> 'rescue', one.value ->> 'executions', one.value ->> 'deliveries',
        one.value ->> 'tries', one.value ->> 'rank', one.value ->> 'event_id'
    )
WHERE true
ON CONFLICT (task_id) DO NOTHING
