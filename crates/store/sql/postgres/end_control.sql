-- Ends what held and is replaced or taken back by something that is asked later.
-- Parameters: one array each of 1 kinds, 2 subjects, 3 times and 4 ids of what is asked later.
UPDATE control SET ends_at = u.at
FROM unnest($1::text[], $2::text[], $3::timestamptz[], $4::text[]) AS u (kind, subject, at, id)
WHERE control.kind = u.kind AND control.subject = u.subject AND control.ends_at IS NULL
    AND (control.created_date, control.id) < (u.at, u.id::uuid)
