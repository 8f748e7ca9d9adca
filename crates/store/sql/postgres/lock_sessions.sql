-- Lets one writer at a time change these sessions, also such as are not there yet: an opening and what
-- happens to its subtasks may be written at the same moment, and one of both must see the other. Many
-- sessions share a lock, since a server has room for a few thousand locks only.
-- What follows in this transaction looks up some hundred rows. Fresh tables have no statistics, by which the planner
-- would rather read them whole for a hash: it is to look them up.
-- Parameters: 1 session ids, a JSON array of texts.
SELECT
    set_config('enable_hashjoin', 'off', true), set_config('enable_mergejoin', 'off', true),
    pg_advisory_xact_lock(hashtext('counterfoil.session.' || current_schema()), key)
FROM (
    SELECT DISTINCT hashtext(id) & 1023 AS key FROM json_array_elements_text($1::json) AS id ORDER BY key
) AS ordered
