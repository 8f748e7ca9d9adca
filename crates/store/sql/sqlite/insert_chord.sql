-- Notes that somebody waits for a group of tasks, once per id.
-- Parameters: the columns, in their order.
INSERT INTO chord (id, service, root_id, parent_id, args, kwargs, waits_for)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
ON CONFLICT (id) DO NOTHING
