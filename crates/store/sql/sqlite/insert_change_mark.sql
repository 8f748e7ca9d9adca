-- Marks what is in the feed now.
-- Parameters: 1 id.
INSERT INTO task_change_mark (id, seen)
SELECT ?1, coalesce((SELECT max(position) FROM task_change), 0)
WHERE true
ON CONFLICT DO NOTHING
