-- Removes what was there at the oldest mark: whoever looked later has seen it.
-- Parameters: 1 limit.
DELETE FROM task_change WHERE position IN (
    SELECT position FROM task_change
    WHERE position <= (SELECT seen FROM task_change_mark ORDER BY at, id LIMIT 1)
    ORDER BY position
    LIMIT ?1
)
