-- Notes which tasks somebody waits for.
-- Parameters: 1 id of the chord, 2 task ids, a JSON array.
INSERT INTO chord_member (chord_id, position, task_id)
SELECT $1, one.place - 1, one.value
FROM jsonb_array_elements_text($2::text::jsonb) WITH ORDINALITY AS one (value, place)
WHERE true
ON CONFLICT (chord_id, position) DO NOTHING
