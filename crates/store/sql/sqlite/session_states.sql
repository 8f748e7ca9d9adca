-- Whether sessions are not over, and whether their time is.
-- Parameters: 1 ids of sessions, a JSON array of texts.
SELECT id, status IN ('ONGOING', 'ABORTING') AS open, timed_out FROM session
WHERE id IN (SELECT value FROM json_each(?1))
