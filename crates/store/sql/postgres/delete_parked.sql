-- Removes messages that are parked no longer.
-- Parameters: 1 ids.
DELETE FROM parked WHERE id = ANY ($1::text[]::uuid[])
