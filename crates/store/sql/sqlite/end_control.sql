-- Ends what held and is replaced or taken back by something that is asked later.
-- Parameters: 1 kind, 2 subject, 3 time and 4 id of what is asked later.
UPDATE control SET ends_at = ?3
WHERE kind = ?1 AND subject = ?2 AND ends_at IS NULL AND (created_date, id) < (?3, ?4)
