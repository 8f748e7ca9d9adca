-- Removes the marks before the last one that is so old. Whoever looked before that one is too late from now on.
-- Parameters: 1 seconds.
DELETE FROM task_change_mark
WHERE (at, id) < (
    SELECT at, id FROM task_change_mark
    WHERE at < strftime('%Y-%m-%dT%H:%M:%f000Z', 'now', -?1 || ' seconds')
    ORDER BY at DESC, id DESC
    LIMIT 1
)
