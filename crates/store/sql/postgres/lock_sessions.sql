-- Lets one writer at a time change these sessions, also such as are not there yet: an opening and what
-- happens to its subtasks may be written at the same moment, and one of both must see the other. Many
-- sessions share a lock, since a server has room for a few thousand locks only.
-- Parameters: 1 session ids, a JSON array of texts.
SELECT pg_advisory_xact_lock(hashtext('counterfoil.session.' || current_schema()), key)
FROM (
    SELECT DISTINCT hashtext(id) & 1023 AS key FROM json_array_elements_text($1::json) AS id ORDER BY key
) AS ordered
