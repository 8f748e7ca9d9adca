-- Forgets messages of the outbox that were published long ago.
-- Parameters: 1 seconds, 2 how many at most.
DELETE FROM outbox WHERE position IN (
    SELECT position FROM outbox
    WHERE sent_at < strftime('%Y-%m-%dT%H:%M:%f000Z', 'now', '-' || ?1 || ' seconds')
    ORDER BY sent_at
    LIMIT ?2
)
