-- Records where a batch saw a marker.
-- Parameters: 1 id, 2 seen in tracking, 3 seen among events, 4 seen among signs of life.
UPDATE marker SET tracking = tracking OR ?2, events = events OR ?3, heartbeats = heartbeats OR ?4
WHERE id = ?1
