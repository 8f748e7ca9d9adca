-- Removes what was visible at the oldest mark: whoever looked later has seen it.
-- Parameters: 1 limit.
DELETE FROM task_change WHERE ctid = ANY (ARRAY(
    SELECT task_change.ctid
    FROM (SELECT seen FROM task_change_mark ORDER BY at, id LIMIT 1) AS oldest, task_change
    WHERE written_in < pg_snapshot_xmax(seen) AND pg_visible_in_snapshot(written_in, seen)
    LIMIT $1
))
