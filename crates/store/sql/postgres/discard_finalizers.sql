-- Notes with sessions that their finalizers were thrown away, and by whom.
-- Parameters: 1 a JSON array of {"id": …, "by": …}.
UPDATE session AS s SET finalizer_discarded_at = now(), finalizer_discarded_by = u.by
FROM json_to_recordset($1::json) AS u (id text, by text)
WHERE s.id = u.id
