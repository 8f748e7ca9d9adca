-- What became of the tasks of a chord, in the order of their results: of the first of them, as long as their results are no
-- larger together than this. With each is how many tasks there are.
-- Parameters: 1 id of the chord, 2 bytes.
WITH member AS (
    SELECT
        c.task_id, c.position, count(*) OVER () AS of_all,
        sum(
            CASE WHEN t.state = 'SUCCESS'
            THEN coalesce(coalesce(octet_length(r.result::text), octet_length(r.result_raw)), 0)
            ELSE 0 END
        ) OVER (ORDER BY c.position) AS bytes
    FROM chord_member AS c
    LEFT JOIN background_task AS t ON t.task_id = c.task_id
    LEFT JOIN task_result AS r ON r.task_id = c.task_id AND r.run = t.run
    WHERE c.chord_id = $1
)
SELECT
    c.task_id, c.of_all, t.state, t.worker, coalesce(r.result::text, convert_from(r.result_raw, 'UTF8')) AS result, t.error_message,
    s.exception, NULL::text AS status, NULL::bytea AS told
FROM member AS c
LEFT JOIN background_task AS t ON t.task_id = c.task_id
LEFT JOIN task_result AS r ON r.task_id = c.task_id AND r.run = t.run
LEFT JOIN skipped_task AS s ON s.task_id = c.task_id
WHERE c.bytes <= $2
ORDER BY c.position
