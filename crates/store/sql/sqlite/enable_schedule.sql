-- Lets a schedule fire, or not.
-- Parameters: 1 name, 2 whether, 3 when it fires next.
UPDATE schedule SET enabled = ?2, next_at = ?3 WHERE name = ?1
