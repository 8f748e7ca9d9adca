-- Removes the marks before the last one that is so old: whoever looked before that one is too late from now on. And
-- those that have seen more than there was here yet: they come from the server that the database was restored from.
-- Parameters: 1 seconds.
DELETE FROM task_change_mark
WHERE (at, id) < (
        SELECT at, id FROM task_change_mark
        WHERE at < now() - $1::float8 * interval '1 second'
        ORDER BY at DESC, id DESC
        LIMIT 1
    )
    OR pg_snapshot_xmax(seen) > pg_snapshot_xmax(pg_current_snapshot())
