-- How many sessions are not over.
SELECT count(*) FROM session WHERE status IN ('ONGOING', 'ABORTING')
