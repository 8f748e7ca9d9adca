-- Marks what is visible in the feed now.
-- Parameters: 1 id.
INSERT INTO task_change_mark (id) VALUES ($1::text::uuid) ON CONFLICT DO NOTHING
