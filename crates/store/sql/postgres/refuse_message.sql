-- Notes that a message of the outbox can never be published.
-- Parameters: 1 its position, 2 why.
UPDATE outbox SET refusal = $2 WHERE position = $1 AND sent_at IS NULL
