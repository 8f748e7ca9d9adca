-- Chords of which somebody has to look again, oldest first. Of a task that is not known after 30 days nothing will be heard
-- any more, and of one that will never be sent neither: later, where another service says so than the one that waits. Those
-- whose time is over are among them.
-- One that was put off is not looked after until then.
-- Parameters: 1 limit.
SELECT c.id FROM chord AS c
LEFT JOIN background_task AS t ON t.task_id = c.waits_for
WHERE (c.put_off_until IS NULL OR c.put_off_until <= strftime('%Y-%m-%dT%H:%M:%f000Z', 'now'))
    AND (
        t.state IN ('SUCCESS', 'FAILURE', 'REVOKED', 'REJECTED')
        OR t.task_id IS NULL AND (
            EXISTS (
                SELECT 1 FROM skipped_task AS s
                WHERE s.task_id = c.waits_for AND (s.service = c.service OR s.created_date < strftime('%Y-%m-%dT%H:%M:%f000Z', 'now', '-5 seconds'))
            )
            OR c.created_date < strftime('%Y-%m-%dT%H:%M:%f000Z', 'now', '-30 days')
        )
        OR c.gives_up_at <= strftime('%Y-%m-%dT%H:%M:%f000Z', 'now')
    )
ORDER BY c.created_date, c.id
LIMIT ?1
