-- What became of the tasks of a chord, in the order of their results, also by what a worker of Celery's wrote: of the first
-- of them, as long as their results are no larger together than this. A pickle counts a quarter, since JSON may be shorter.
-- With each is how many tasks there are.
-- Parameters: 1 id of the chord, 2 bytes.
WITH member AS (
    SELECT
        c.task_id, c.position, count(*) OVER () AS of_all,
        sum(
            CASE WHEN t.state = 'SUCCESS' OR m.status = 'SUCCESS'
            THEN coalesce(min(coalesce(length(CAST(r.result AS blob)), length(r.result_raw)), length(m.result) / 4), coalesce(length(CAST(r.result AS blob)), length(r.result_raw)), length(m.result) / 4, 0)
            ELSE 0 END
        ) OVER (ORDER BY c.position) AS bytes
    FROM chord_member AS c
    LEFT JOIN background_task AS t ON t.task_id = c.task_id
    LEFT JOIN task_result AS r ON r.task_id = c.task_id AND r.run = t.run
    LEFT JOIN celery_taskmeta AS m ON m.task_id = c.task_id
    WHERE c.chord_id = ?1
)
SELECT
    c.task_id, c.of_all, t.state, t.worker, coalesce(r.result, CAST(r.result_raw AS text)) AS result, t.error_message,
    s.exception, m.status, m.result AS told
FROM member AS c
LEFT JOIN background_task AS t ON t.task_id = c.task_id
LEFT JOIN task_result AS r ON r.task_id = c.task_id AND r.run = t.run
LEFT JOIN skipped_task AS s ON s.task_id = c.task_id
LEFT JOIN celery_taskmeta AS m ON m.task_id = c.task_id
WHERE c.bytes <= ?2
ORDER BY c.position
