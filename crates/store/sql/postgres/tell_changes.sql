-- Tells whoever follows that these have changed.
-- Parameters: 1 kind, 2 ids, a JSON array.
INSERT INTO task_change (kind, ids, id_count)
SELECT $1, array_agg(id), count(*) FROM json_array_elements_text($2::json) AS id
HAVING count(*) > 0
