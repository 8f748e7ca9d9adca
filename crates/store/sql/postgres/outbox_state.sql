-- What waits in the outbox, and for how long.
SELECT
    count(*) FILTER (WHERE refusal IS NULL AND due_at <= now()) AS waiting,
    extract(epoch FROM now() - min(due_at) FILTER (WHERE refusal IS NULL AND due_at <= now()))::float8
        AS oldest_s,
    count(*) FILTER (WHERE refusal IS NULL AND due_at > now()) AS later,
    count(*) FILTER (WHERE refusal IS NOT NULL) AS refused
FROM outbox
WHERE sent_at IS NULL
