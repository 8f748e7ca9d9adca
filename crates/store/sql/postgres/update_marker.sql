-- Records where a batch saw markers.
-- Parameters: arrays of 1 id, 2 seen in tracking, 3 seen among events, 4 seen among signs of life.
UPDATE marker AS m SET
    tracking = m.tracking OR u.tracking,
    events = m.events OR u.events,
    heartbeats = m.heartbeats OR u.heartbeats
FROM unnest($1::text[], $2::bool[], $3::bool[], $4::bool[]) AS u (id, tracking, events, heartbeats)
WHERE m.id = u.id::uuid
