-- Sessions that match every filter that is not null, newest first.
-- Parameters: 1 status, 2 action, 3 open ones only, 4 started at this time or later, 5 and 6 started_at and
-- id of the last row of the page before, 7 id, 8 id of its finalizer, 9 those only whose
-- finalizer was discarded, 10 limit, 11 creator_id.
SELECT
    id, action, status, policy, timed_out, aborted_by, total, succeeded, failed, revoked, skipped,
    retried_counted, retried_uncounted, duration_ms, estimated_ms, buffer_ms, finalizer_id,
    finalizer_type, creator_id, related_content_type, related_object_id, started_at, finished_at,
    finalizer_discarded_at, finalizer_discarded_by, last_updated
FROM session
WHERE (?1 IS NULL OR status = ?1)
    AND (?2 IS NULL OR action = ?2)
    AND (NOT ?3 OR status IN ('ONGOING', 'ABORTING'))
    AND (?4 IS NULL OR started_at >= ?4)
    AND (?5 IS NULL OR (started_at, id) < (?5, ?6))
    AND (?7 IS NULL OR id = ?7)
    AND (?8 IS NULL OR finalizer_id = ?8)
    AND (NOT ?9 OR finalizer_discarded_at IS NOT NULL)
    AND (?11 IS NULL OR creator_id = ?11)
ORDER BY started_at DESC, id DESC
LIMIT ?10
