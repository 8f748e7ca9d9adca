-- Writes what became of subtasks.
-- Parameters: 1 session ids, 2 task ids, 3 states, 4 whether they were skipped, 5 how often they were retried counted,
-- 6 how often uncounted; as many of each.
UPDATE session_subtask AS s SET
    status = u.status, skipped = u.skipped, retried_counted = u.counted, retried_uncounted = u.uncounted
FROM unnest($1::text[], $2::text[], $3::text[], $4::boolean[], $5::integer[], $6::integer[]) AS u (
    session_id, task_id, status, skipped, counted, uncounted
)
WHERE s.session_id = u.session_id AND s.task_id = u.task_id
