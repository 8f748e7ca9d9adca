-- The first task of a chord that is not over, also by what a worker of Celery's wrote: that is out of date of a task that
-- people run again, or that was sent after it was thought that it never would be. One that is not known is over when it
-- will never be sent, and after 30 days.
-- Parameters: 1 id of the chord.
SELECT c.task_id
FROM chord_member AS c
JOIN chord AS h ON h.id = c.chord_id
LEFT JOIN background_task AS t ON t.task_id = c.task_id
LEFT JOIN skipped_task AS s ON s.task_id = c.task_id
LEFT JOIN celery_taskmeta AS m ON m.task_id = c.task_id
WHERE c.chord_id = ?1
    AND coalesce(t.state, '') NOT IN ('SUCCESS', 'FAILURE', 'REVOKED', 'REJECTED')
    AND (t.task_id IS NOT NULL OR s.task_id IS NULL AND h.created_date >= strftime('%Y-%m-%dT%H:%M:%f000Z', 'now', '-30 days'))
    AND (coalesce(t.run, 0) > 0 OR t.task_id IS NOT NULL AND s.task_id IS NOT NULL OR coalesce(m.status, '') NOT IN ('SUCCESS', 'FAILURE', 'REVOKED'))
ORDER BY c.position
LIMIT 1
