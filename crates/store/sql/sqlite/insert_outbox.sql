-- Puts a message into the outbox, once per key, to be published at once. An empty exchange is that of tasks.
-- Parameters: the columns, in their order.
INSERT INTO outbox (key, exchange, routing_key, message, headers, properties)
VALUES (?1, ?2, ?3, ?4, ?5, ?6)
ON CONFLICT (key) DO NOTHING
