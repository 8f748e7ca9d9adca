-- Notes for which of its tasks a chord waits now.
-- Parameters: 1 id of the chord, 2 task id, 3 its position.
UPDATE chord SET waits_for = ?2, waits_from = ?3 WHERE id = ?1
