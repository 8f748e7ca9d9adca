-- What waits in the outbox, and for how long. Two parts, each of which has an index: the table is large with what
-- was sent.
WITH unsent AS (
    SELECT due_at, due_at <= strftime('%Y-%m-%dT%H:%M:%f999Z', 'now') AS is_due
    FROM outbox
    WHERE sent_at IS NULL AND refusal IS NULL
)
SELECT
    count(*) FILTER (WHERE is_due) AS waiting,
    max(0.0, (julianday('now') - julianday(min(due_at) FILTER (WHERE is_due))) * 86400.0) AS oldest_s,
    count(*) FILTER (WHERE NOT is_due) AS later,
    (SELECT count(*) FROM outbox WHERE refusal IS NOT NULL AND sent_at IS NULL) AS refused
FROM unsent
