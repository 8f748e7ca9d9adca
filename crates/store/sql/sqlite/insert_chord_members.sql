-- Notes which tasks somebody waits for.
-- Parameters: 1 id of the chord, 2 task ids, a JSON array.
INSERT INTO chord_member (chord_id, position, task_id)
SELECT ?1, one.key, one.value
FROM json_each(?2) AS one
WHERE true
ON CONFLICT (chord_id, position) DO NOTHING
