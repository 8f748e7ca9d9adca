-- Records where a batch saw a marker.
-- Parameters: 1 id, 2 seen among events, 3 seen among signs of life.
UPDATE marker SET events = events OR ?2, heartbeats = heartbeats OR ?3 WHERE id = ?1
