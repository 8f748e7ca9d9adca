-- What waits in the outbox, and for how long. Two parts, each of which has an index: the table is large with what
-- was sent.
SELECT waiting.*, refused.* FROM (
    SELECT
        count(*) FILTER (WHERE due_at <= now()) AS waiting,
        extract(epoch FROM now() - min(due_at) FILTER (WHERE due_at <= now()))::float8 AS oldest_s,
        count(*) FILTER (WHERE due_at > now()) AS later
    FROM outbox
    WHERE sent_at IS NULL AND refusal IS NULL
) AS waiting, (
    SELECT count(*) AS refused FROM outbox WHERE refusal IS NOT NULL AND sent_at IS NULL
) AS refused
