-- Notes that messages of the outbox have been published.
-- Parameters: 1 positions.
UPDATE outbox SET sent_at = now() WHERE position = ANY ($1::text[]::bigint[]) AND sent_at IS NULL
