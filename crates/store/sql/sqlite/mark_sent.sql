-- Notes that messages of the outbox have been published.
-- Parameters: 1 positions, a JSON array.
UPDATE outbox SET sent_at = strftime('%Y-%m-%dT%H:%M:%f000Z', 'now')
WHERE position IN (SELECT CAST(value AS integer) FROM json_each(?1)) AND sent_at IS NULL
