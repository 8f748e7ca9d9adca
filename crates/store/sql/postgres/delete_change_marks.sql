-- Removes the marks before the last one that is so old. Whoever looked before that one is too late from now on.
-- Parameters: 1 seconds.
DELETE FROM task_change_mark AS mark
USING (
    SELECT at, id FROM task_change_mark
    WHERE at < now() - $1::float8 * interval '1 second'
    ORDER BY at DESC, id DESC
    LIMIT 1
) AS last_old
WHERE (mark.at, mark.id) < (last_old.at, last_old.id)
