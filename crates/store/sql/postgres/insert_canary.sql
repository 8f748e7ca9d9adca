-- Records that a canary is being sent.
-- Parameters: 1 its id.
INSERT INTO canary (id) VALUES ($1::text::uuid)
ON CONFLICT (id) DO NOTHING
