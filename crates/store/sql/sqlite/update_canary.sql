-- Records where a batch saw a canary; the first time counts. Returns those that were sent by this database.
-- Parameters: 1 id, 2 seen in tracking, 3 seen in unroutable, 4 seen in events.
UPDATE canary SET
    tracked_at = coalesce(tracked_at, CASE WHEN ?2 THEN strftime('%Y-%m-%dT%H:%M:%f000Z', 'now') END),
    unroutable_at = coalesce(unroutable_at, CASE WHEN ?3 THEN strftime('%Y-%m-%dT%H:%M:%f000Z', 'now') END),
    event_at = coalesce(event_at, CASE WHEN ?4 THEN strftime('%Y-%m-%dT%H:%M:%f000Z', 'now') END)
WHERE id = ?1
RETURNING id
