-- Messages of the outbox that can never be published, oldest first.
-- Parameters: 1 how many.
SELECT key, routing_key, refusal FROM outbox WHERE refusal IS NOT NULL ORDER BY position LIMIT ?1
