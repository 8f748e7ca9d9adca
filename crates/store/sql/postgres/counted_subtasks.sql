-- What sessions had counted of tasks that they list. all_nth: of the parameters, from 0. place: of their row; null where
-- an end has been written there, which happens here where it is the first one: most are, and one look is enough. These
-- go out together.
-- Parameters: 1 session ids, 2 task ids, 3 states at an end or null, 4 whether those were skipped; as many of each.
WITH known AS (
    SELECT
        w.nth, w.ended, w.ended_skipped, s.ctid AS place, s.status, s.skipped, s.retried_counted, s.retried_uncounted,
        w.ended IS NOT NULL AND NOT s.skipped
            AND s.status NOT IN ('SUCCESS', 'FAILURE', 'REVOKED', 'REJECTED') AS is_first_end
    FROM unnest($1::text[], $2::text[], $3::text[], $4::boolean[])
        WITH ORDINALITY AS w (session_id, task_id, ended, ended_skipped, nth)
    JOIN session_subtask AS s ON s.session_id = w.session_id AND s.task_id = w.task_id
), written AS (
    UPDATE session_subtask AS s SET status = k.ended, skipped = k.ended_skipped
    FROM known AS k
    WHERE s.ctid = k.place AND k.is_first_end
)
SELECT array_agg(nth - 1) AS all_nth, place, status, skipped, retried_counted, retried_uncounted
FROM (
    SELECT
        nth, CASE WHEN NOT is_first_end THEN place::text END AS place, status, skipped, retried_counted,
        retried_uncounted
    FROM known
) AS each
GROUP BY place, status, skipped, retried_counted, retried_uncounted
