-- Puts messages into the outbox, once per key, to be published at once. An empty exchange is that of tasks.
-- Parameters: one array per column, in their order.
INSERT INTO outbox (key, exchange, routing_key, message, headers, properties)
SELECT u.key, u.exchange, u.routing_key, u.message, u.headers::jsonb, u.properties::jsonb
FROM unnest($1::text[], $2::text[], $3::text[], $4::bytea[], $5::text[], $6::text[])
    WITH ORDINALITY AS u (key, exchange, routing_key, message, headers, properties, place)
ORDER BY u.place
ON CONFLICT (key) DO NOTHING
