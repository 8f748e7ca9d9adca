-- Removes a schedule.
-- Parameters: 1 name.
DELETE FROM schedule WHERE name = ?1
