-- Tasks that sessions list and about whose rows there is something to count.
-- Parameters: 1 ids of sessions, a JSON array of texts.
SELECT s.session_id, s.task_id
FROM session_subtask AS s JOIN background_task AS t ON t.task_id = s.task_id AND t.session_id = s.session_id
WHERE s.session_id IN (SELECT json_array_elements_text($1::json))
    AND (
        t.state IN ('SUCCESS', 'FAILURE', 'REVOKED', 'REJECTED', 'RETRY')
        OR t.run > 0 OR t.rescue > 0 OR t.executions > 0 OR t.tries > 0 OR t.deliveries > 0
    )
