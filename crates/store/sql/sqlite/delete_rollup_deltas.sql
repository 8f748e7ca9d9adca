-- Removes what was added up.
-- Parameters: 1 position.
DELETE FROM task_rollup_delta WHERE position <= ?1
