-- Removes what was visible at every mark: whoever looked later than one of them has seen it. Not only at the oldest,
-- since a clock that was set back leaves none that is. And what is numbered higher than anything here: it comes from
-- the server that the database was restored from.
-- Parameters: 1 limit.
DELETE FROM task_change WHERE ctid = ANY (ARRAY(
    (
        SELECT ctid FROM task_change
        WHERE written_in < (
                SELECT pg_snapshot_xmax(seen) FROM task_change_mark ORDER BY pg_snapshot_xmax(seen) LIMIT 1
            )
            AND NOT EXISTS (
                SELECT 1 FROM task_change_mark WHERE NOT pg_visible_in_snapshot(task_change.written_in, seen)
            )
        LIMIT $1
    )
    UNION ALL
    (SELECT ctid FROM task_change WHERE written_in >= pg_snapshot_xmax(pg_current_snapshot()) LIMIT $1)
    LIMIT $1
))
