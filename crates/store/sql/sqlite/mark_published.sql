-- Notes that something that is asked of workers has been published.
-- Parameters: 1 ids, a JSON array, 2 when.
UPDATE control SET published_at = ?2 WHERE id IN (SELECT value FROM json_each(?1))
