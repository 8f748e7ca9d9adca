-- Notes that somebody waits for a group of tasks, once per id.
-- Parameters: the columns, in their order; the last one is in seconds from now, or null.
INSERT INTO chord (id, service, root_id, parent_id, args, kwargs, waits_for, gives_up_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, now() + make_interval(secs => $8))
ON CONFLICT (id) DO NOTHING
