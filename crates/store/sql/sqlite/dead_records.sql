-- Which dead letters match every filter that is not null, without their messages.
-- Parameters: 1 service, 2 id of the record or of the task, 3 reason, 4 type, 5 died at this time or
-- later.
SELECT id, task_id, type, run, died_at
FROM dead
WHERE times > handled
    AND (?1 IS NULL OR service = ?1)
    AND (?2 IS NULL OR task_id = ?2 OR id = ?2)
    AND (?3 IS NULL OR reason = ?3)
    AND (?4 IS NULL OR type = ?4)
    AND (?5 IS NULL OR died_at >= ?5)
ORDER BY died_at, dead.id
