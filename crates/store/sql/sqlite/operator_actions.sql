-- What people did, newest first.
-- Parameters: 1 who, 2 action, 3 kind of the subject, 4 subject, 5 since, 6 id of the last row of the page before,
-- 7 limit. Those that are null are not asked for.
SELECT id, at, who, role, address, action, subject_kind, subject, detail, outcome
FROM operator_action
WHERE (?1 IS NULL OR who = ?1)
    AND (?2 IS NULL OR action = ?2)
    AND (?3 IS NULL OR subject_kind = ?3)
    AND (?4 IS NULL OR subject = ?4)
    AND (?5 IS NULL OR at >= ?5)
    AND (?6 IS NULL OR id < ?6)
ORDER BY id DESC
LIMIT ?7
