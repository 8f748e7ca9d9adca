-- A chord that nobody else deals with now, and whether its time is over.
-- Parameters: 1 id.
SELECT
    service, root_id, parent_id, args, kwargs, waits_from, coalesce(gives_up_at <= now(), false) AS is_late
FROM chord WHERE id = $1 FOR UPDATE SKIP LOCKED
