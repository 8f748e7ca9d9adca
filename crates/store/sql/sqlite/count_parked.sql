-- How many messages are parked, as far as they are counted.
-- Parameters: 1 most that are counted.
SELECT count(*) FROM (SELECT 1 FROM parked LIMIT ?1) AS counted
