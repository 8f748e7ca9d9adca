-- How the subtasks of a session ended. All results or none: none when they are larger than wanted.
-- Parameters: 1 session id, 2 most bytes of results, 3 most rows.
SELECT
    s.task_id, s.type, s.status,
    CASE WHEN t.task_id IS NULL AND s.status = 'FAILURE' THEN 'session_timeout' ELSE t.error_kind END
        AS error_kind,
    t.error_message,
    CASE WHEN sum(octet_length(r.result::text)) OVER () <= $2 THEN r.result::text END AS result,
    coalesce(sum(octet_length(r.result::text)) OVER () > $2, false) OR r.result_raw IS NOT NULL AS left_out
FROM session_subtask AS s
LEFT JOIN background_task AS t ON t.task_id = s.task_id AND t.session_id = s.session_id
LEFT JOIN task_result AS r ON r.task_id = t.task_id AND r.run = t.run AND s.status = 'SUCCESS'
WHERE s.session_id = $1
ORDER BY s.position
LIMIT $3
