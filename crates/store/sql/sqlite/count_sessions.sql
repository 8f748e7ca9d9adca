-- Adds to the counters of sessions. How long one takes grows until it is over, by this clock alone.
-- Parameters: 1 a JSON array of {"id", "succeeded", "failed", "revoked", "skipped", "counted", "uncounted"}.
UPDATE session SET
    succeeded = succeeded + (u.value ->> 'succeeded'),
    failed = failed + (u.value ->> 'failed'),
    revoked = revoked + (u.value ->> 'revoked'),
    skipped = skipped + (u.value ->> 'skipped'),
    retried_counted = retried_counted + (u.value ->> 'counted'),
    retried_uncounted = retried_uncounted + (u.value ->> 'uncounted'),
    duration_ms = CASE WHEN finished_at IS NULL
        THEN max(duration_ms, CAST((julianday('now') - julianday(started_at)) * 86400000 AS integer))
        ELSE duration_ms END
FROM json_each(?1) AS u
WHERE session.id = u.value ->> 'id'
