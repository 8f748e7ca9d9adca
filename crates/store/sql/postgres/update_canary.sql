-- Records where a batch saw canaries; the first time counts. Returns those that were sent by this database.
-- Parameters: arrays of 1 id, 2 seen in tracking, 3 seen in unroutable, 4 seen in events.
UPDATE canary AS c SET
    tracked_at = coalesce(c.tracked_at, CASE WHEN u.tracking THEN now() END),
    unroutable_at = coalesce(c.unroutable_at, CASE WHEN u.unroutable THEN now() END),
    event_at = coalesce(c.event_at, CASE WHEN u.events THEN now() END)
FROM unnest($1::text[], $2::bool[], $3::bool[], $4::bool[])
    AS u (id, tracking, unroutable, events)
WHERE c.id = u.id::uuid
RETURNING c.id::text
