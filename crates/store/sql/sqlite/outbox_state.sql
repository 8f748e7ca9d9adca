-- What waits in the outbox, and for how long.
WITH unsent AS (
    SELECT refusal, due_at, due_at <= strftime('%Y-%m-%dT%H:%M:%f999Z', 'now') AS is_due
    FROM outbox
    WHERE sent_at IS NULL
)
SELECT
    count(*) FILTER (WHERE refusal IS NULL AND is_due) AS waiting,
    max(0.0, (julianday('now') - julianday(min(due_at) FILTER (WHERE refusal IS NULL AND is_due)))
        * 86400.0) AS oldest_s,
    count(*) FILTER (WHERE refusal IS NULL AND NOT is_due) AS later,
    count(*) FILTER (WHERE refusal IS NOT NULL) AS refused
FROM unsent
