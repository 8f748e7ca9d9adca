-- Records that a marker is being sent.
-- Parameters: 1 its id.
INSERT INTO marker (id) VALUES ($1::text::uuid)
