-- Removes the tasks of a chord from those that are waited for.
-- Parameters: 1 id of the chord.
DELETE FROM chord_member WHERE chord_id = ?1
