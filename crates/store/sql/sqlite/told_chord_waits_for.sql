-- The first task of a chord that is not over, also by what a worker of Celery's wrote: that is out of date of a task that
-- people run again, and is not what we told of one that will never be sent. One that is not known is over when it will not,
-- and after 30 days. Where another service says so than the one that waits, its message may be under way: that counts later.
-- Parameters: 1 id of the chord, 2 the position to begin at.
SELECT c.task_id, c.position
FROM chord_member AS c
JOIN chord AS h ON h.id = c.chord_id
LEFT JOIN background_task AS t ON t.task_id = c.task_id
LEFT JOIN skipped_task AS s ON s.task_id = c.task_id
LEFT JOIN celery_taskmeta AS m ON m.task_id = c.task_id
WHERE c.chord_id = ?1 AND c.position >= ?2
    AND coalesce(t.state, '') NOT IN ('SUCCESS', 'FAILURE', 'REVOKED', 'REJECTED')
    AND (
        t.task_id IS NOT NULL
        OR NOT coalesce(s.service = h.service OR s.created_date < strftime('%Y-%m-%dT%H:%M:%f000Z', 'now', '-5 seconds'), false)
        AND h.created_date >= strftime('%Y-%m-%dT%H:%M:%f000Z', 'now', '-30 days')
    )
    AND (coalesce(t.run, 0) > 0 OR coalesce(m.status, '') NOT IN ('SUCCESS', 'FAILURE', 'REVOKED') OR m.result = s.told)
ORDER BY c.position
LIMIT 1
