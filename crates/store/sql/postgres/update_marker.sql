-- Records where a batch saw markers.
-- Parameters: arrays of 1 id, 2 seen among events, 3 seen among signs of life.
UPDATE marker AS m SET events = m.events OR u.events, heartbeats = m.heartbeats OR u.heartbeats
FROM unnest($1::text[], $2::bool[], $3::bool[]) AS u (id, events, heartbeats)
WHERE m.id = u.id::uuid
