-- Records what is asked of workers.
-- Parameters: one array per column, in the order of the columns.
INSERT INTO control (id, kind, subject, run, created_by, created_date, ends_at)
SELECT u.id::uuid, u.kind, u.subject, u.run, u.created_by, u.created_date, u.ends_at
FROM unnest(
    $1::text[], $2::text[], $3::text[], $4::int4[], $5::text[], $6::timestamptz[],
    $7::timestamptz[]
) AS u (id, kind, subject, run, created_by, created_date, ends_at)
ON CONFLICT (id) DO NOTHING
