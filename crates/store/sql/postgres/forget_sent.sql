-- Forgets messages of the outbox that were published long ago.
-- Parameters: 1 seconds, 2 how many at most.
DELETE FROM outbox WHERE position IN (
    SELECT position FROM outbox
    WHERE sent_at < now() - make_interval(secs => $1)
    ORDER BY sent_at
    LIMIT $2
)
