-- Moves a schedule on, if it is still to fire for that time.
-- Parameters: 1 name, 2 that time, 3 the next, 4 the last for which it has fired, or null.
UPDATE schedule SET next_at = $3::timestamptz, last_at = coalesce($4::timestamptz, last_at)
WHERE name = $1 AND enabled AND next_at = $2::timestamptz
