-- Open sessions whose time is over, the longest first.
-- Parameters: 1 estimate, 2 buffer in milliseconds, for those that have none of their own, 3 limit.
SELECT id FROM session
WHERE status IN ('ONGOING', 'ABORTING') AND NOT written_off
    AND (extract(epoch FROM now() - started_at) * 1000)::numeric
        > total::numeric * coalesce(estimated_ms, $1) + coalesce(buffer_ms, $2)
ORDER BY started_at, id
LIMIT $3
