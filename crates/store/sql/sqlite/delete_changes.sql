-- Removes what was there at every mark: whoever looked later than one of them has seen it. Not only at the oldest,
-- since a clock that was set back leaves none that is.
-- Parameters: 1 limit.
DELETE FROM task_change WHERE position IN (
    SELECT position FROM task_change
    WHERE position <= (SELECT min(seen) FROM task_change_mark)
    ORDER BY position
    LIMIT ?1
)
