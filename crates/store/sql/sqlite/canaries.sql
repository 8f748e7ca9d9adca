-- The last canaries, newest first.
-- Parameters: 1 limit.
SELECT id, sent_at, tracked_at, unroutable_at, event_at
FROM canary
ORDER BY sent_at DESC, canary.id
LIMIT ?1
