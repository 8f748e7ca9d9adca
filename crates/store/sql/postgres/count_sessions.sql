-- Adds to the counters of sessions. How long one takes grows until it is over, by this clock alone.
-- Parameters: 1 a JSON array of {"id", "succeeded", "failed", "revoked", "skipped", "counted", "uncounted"}.
UPDATE session AS s SET
    succeeded = s.succeeded + u.succeeded,
    failed = s.failed + u.failed,
    revoked = s.revoked + u.revoked,
    skipped = s.skipped + u.skipped,
    retried_counted = s.retried_counted + u.counted,
    retried_uncounted = s.retried_uncounted + u.uncounted,
    duration_ms = CASE WHEN s.finished_at IS NULL
        THEN greatest(s.duration_ms, (extract(epoch FROM now() - s.started_at) * 1000)::bigint)
        ELSE s.duration_ms END
FROM json_to_recordset($1::json) AS u (
    id text, succeeded integer, failed integer, revoked integer, skipped integer, counted integer,
    uncounted integer
)
WHERE s.id = u.id
