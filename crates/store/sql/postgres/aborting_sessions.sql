-- Open sessions that are aborted, the oldest first, and when workers were last told.
-- Parameters: 1 limit.
SELECT s.id, max(c.published_at) AS told_at
FROM session AS s
LEFT JOIN control AS c ON c.subject = s.id AND c.kind = 'revoke_session' AND c.ends_at IS NULL
WHERE s.status = 'ABORTING' AND NOT s.timed_out
GROUP BY s.id, s.started_at
ORDER BY s.started_at, s.id
LIMIT $1
