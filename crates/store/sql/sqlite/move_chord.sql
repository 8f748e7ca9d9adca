-- Notes for which of its tasks a chord waits now.
-- Parameters: 1 id of the chord, 2 task id.
UPDATE chord SET waits_for = ?2 WHERE id = ?1
