-- What people did, newest first.
-- Parameters: 1 who, 2 action, 3 kind of the subject, 4 subject, 5 since, 6 id of the last row of the page before,
-- 7 limit. Those that are null are not asked for.
SELECT id::text, at, who, role, address, action, subject_kind, subject, detail::text, outcome
FROM operator_action
WHERE ($1::text IS NULL OR who = $1)
    AND ($2::text IS NULL OR action = $2)
    AND ($3::text IS NULL OR subject_kind = $3)
    AND ($4::text IS NULL OR subject = $4)
    AND ($5::timestamptz IS NULL OR at >= $5)
    AND ($6::text IS NULL OR id < $6::uuid)
ORDER BY id DESC
LIMIT $7
