-- Marks what is in the feed now, up to the last position that was given: the highest that is there falls when all is
-- gone.
-- Parameters: 1 id.
INSERT INTO task_change_mark (id, seen)
SELECT ?1, coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'task_change'), 0)
WHERE true
ON CONFLICT DO NOTHING
