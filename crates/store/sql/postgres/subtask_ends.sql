-- How the subtasks of a session ended. All results or none: none when they are larger than wanted. What is far
-- larger, by what it takes on disk, is not even read.
-- Parameters: 1 session id, 2 most bytes of results, 3 most rows.
WITH known AS MATERIALIZED (
    SELECT
        s.task_id, s.type, s.status, s.position, t.task_id IS NULL AS is_missing, t.error_kind, t.error_message,
        r.result, r.result_raw IS NOT NULL AS is_raw, sum(pg_column_size(r.result)) OVER () > 16 * $2 AS is_huge
    FROM session_subtask AS s
    LEFT JOIN background_task AS t ON t.task_id = s.task_id AND t.session_id = s.session_id
    LEFT JOIN task_result AS r ON r.task_id = t.task_id AND r.run = t.run AND s.status = 'SUCCESS'
    WHERE s.session_id = $1
), told AS (
    SELECT
        *, is_huge OR sum(CASE WHEN NOT is_huge THEN octet_length(result::text) END) OVER () > $2 AS is_much
    FROM known
)
SELECT
    task_id, type, status,
    CASE WHEN is_missing AND status = 'FAILURE' THEN 'session_timeout' ELSE error_kind END AS error_kind,
    error_message, CASE WHEN NOT coalesce(is_much, false) THEN result::text END AS result,
    coalesce(is_much, false) OR is_raw AS left_out
FROM told
ORDER BY position
LIMIT $3
