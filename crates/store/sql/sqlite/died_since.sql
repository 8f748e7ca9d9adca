-- How many messages died in each service since a time, and how many of them since a later one: of the newest.
-- Parameters: 1 died at this time or later, 2 the later time, 3 most that are counted of all services together.
SELECT newest.service, count(*) AS letters, count(*) FILTER (WHERE newest.died_at >= ?2) AS lately
FROM (
    SELECT service, died_at
    FROM dead
    WHERE times > handled AND died_at >= ?1
    ORDER BY died_at DESC
    LIMIT ?3
) AS newest
GROUP BY newest.service
ORDER BY newest.service
