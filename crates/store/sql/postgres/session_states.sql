-- Whether sessions are not over, and whether what is missing of them counts as failed.
-- Parameters: 1 ids of sessions, a JSON array of texts.
SELECT id, status IN ('ONGOING', 'ABORTING') AS open, written_off FROM session
WHERE id IN (SELECT json_array_elements_text($1::json))
