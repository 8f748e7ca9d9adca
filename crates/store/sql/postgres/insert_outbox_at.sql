-- Puts a message into the outbox, once per key, to be published at a time. An empty exchange is that of tasks.
-- Parameters: the columns, in their order.
INSERT INTO outbox (key, exchange, routing_key, message, headers, properties, due_at)
VALUES ($1, $2, $3, $4, $5::text::jsonb, $6::text::jsonb, $7::timestamptz)
ON CONFLICT (key) DO NOTHING
