-- Open sessions whose subtasks are all over.
-- Parameters: 1 ids of sessions, a JSON array of texts.
SELECT
    id, action, status, policy, timed_out, total, succeeded, failed, revoked, skipped, retried_counted,
    retried_uncounted, finalizer::text AS finalizer,
    greatest(duration_ms, (extract(epoch FROM now() - started_at) * 1000)::bigint) AS duration_ms
FROM session
WHERE id IN (SELECT json_array_elements_text($1::json))
    AND status IN ('ONGOING', 'ABORTING') AND succeeded + failed >= total
ORDER BY id
