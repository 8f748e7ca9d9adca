-- What became of the tasks of a chord, in the order of their results.
-- Parameters: 1 id of the chord.
SELECT
    c.task_id, t.state, t.worker, coalesce(r.result, CAST(r.result_raw AS text)) AS result, t.error_message,
    s.exception, NULL AS status, NULL AS told
FROM chord_member AS c
LEFT JOIN background_task AS t ON t.task_id = c.task_id
LEFT JOIN task_result AS r ON r.task_id = c.task_id AND r.run = t.run
LEFT JOIN skipped_task AS s ON s.task_id = c.task_id
WHERE c.chord_id = ?1
ORDER BY c.position
