-- Open sessions whose subtasks are all over.
-- Parameters: 1 ids of sessions, a JSON array of texts.
SELECT
    id, action, status, policy, timed_out, total, succeeded, failed, revoked, skipped, retried_counted,
    retried_uncounted, finalizer,
    max(duration_ms, CAST((julianday('now') - julianday(started_at)) * 86400000 AS integer)) AS duration_ms
FROM session
WHERE id IN (SELECT value FROM json_each(?1))
    AND status IN ('ONGOING', 'ABORTING') AND succeeded + failed >= total
ORDER BY id
