-- Notes with sessions that their finalizers were thrown away, and by whom.
-- Parameters: 1 a JSON array of {"id": …, "by": …}.
UPDATE session SET
    finalizer_discarded_at = strftime('%Y-%m-%dT%H:%M:%f000Z', 'now'),
    finalizer_discarded_by = u.discarded_by
FROM (SELECT value ->> 'id' AS id, value ->> 'by' AS discarded_by FROM json_each(?1)) AS u
WHERE session.id = u.id
