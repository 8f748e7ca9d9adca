-- Removes a message that is parked no longer.
-- Parameters: 1 id.
DELETE FROM parked WHERE id = ?1
