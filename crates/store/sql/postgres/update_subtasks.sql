-- Writes what became of subtasks, each where it was found (its ctid), which is faster than by its ids. These are
-- compared, since retention takes no lock on sessions: a place that is free may be taken by another row. Compared
-- in a way that no index serves, or the planner would look them up by it.
-- Parameters: 1 places, 2 session ids, 3 task ids, 4 states, 5 whether they were skipped, 6 how often they were
-- retried counted, 7 how often uncounted; as many of each.
UPDATE session_subtask AS s SET
    status = u.status, skipped = u.skipped, retried_counted = u.counted, retried_uncounted = u.uncounted
FROM unnest(
    $1::text[]::tid[], $2::text[], $3::text[], $4::text[], $5::boolean[], $6::integer[], $7::integer[]
) AS u (
    place, session_id, task_id, status, skipped, counted, uncounted
)
WHERE s.ctid = u.place AND (s.session_id, s.task_id) IS NOT DISTINCT FROM (u.session_id, u.task_id)
