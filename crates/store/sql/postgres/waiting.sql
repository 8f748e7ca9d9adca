-- Parked reports that wait for a tracking copy which is there by now, oldest first.
-- Parameters: 1 limit.
SELECT
    parked.id::text, parked.queue, parked.reason, parked.task_id, parked.type, parked.parked_at, parked.times,
    parked.exchange, parked.routing_key, parked.message, parked.headers::text, parked.properties::text
FROM parked
JOIN background_task AS task ON task.task_id = parked.task_id
WHERE parked.waits AND task.addressee IS NOT NULL
ORDER BY parked.parked_at, parked.id
LIMIT $1
