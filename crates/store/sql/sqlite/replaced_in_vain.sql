-- Tasks in whose place others of their family went on that failed before the last of them was sent.
-- Parameters: 1 limit.
SELECT t.task_id, t.type, t.run, t.rescue, t.executions, t.tries, s.after_id, s.exception
FROM background_task AS t
JOIN skipped_task AS s ON s.task_id = t.task_id
JOIN background_task AS f ON f.task_id = s.after_id AND f.root_id = t.root_id
WHERE t.state = 'RETRY' AND t.error_kind = 'replaced'
ORDER BY t.task_id
LIMIT ?1
