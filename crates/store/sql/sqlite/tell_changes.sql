-- Tells whoever follows that these have changed.
-- Parameters: 1 kind, 2 ids, a JSON array.
INSERT INTO task_change (kind, ids, id_count)
SELECT ?1, ?2, json_array_length(?2) WHERE json_array_length(?2) > 0
