-- Ends what held and is replaced or taken back by something that is asked later.
-- Parameters: one array each of 1 kinds, 2 subjects, 3 times of what is asked later.
UPDATE control SET ends_at = u.at
FROM unnest($1::text[], $2::text[], $3::timestamptz[]) AS u (kind, subject, at)
WHERE control.kind = u.kind AND control.subject = u.subject AND control.ends_at IS NULL
    AND control.created_date < u.at
