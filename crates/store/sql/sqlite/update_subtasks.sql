-- Writes what became of subtasks.
-- Parameters: 1 a JSON array of {"place", "status", "skipped", "counted", "uncounted"}, place: of the row.
UPDATE session_subtask SET
    status = u.value ->> 'status', skipped = u.value ->> 'skipped',
    retried_counted = u.value ->> 'counted', retried_uncounted = u.value ->> 'uncounted'
FROM json_each(?1) AS u
WHERE session_subtask.rowid = CAST(u.value ->> 'place' AS integer)
