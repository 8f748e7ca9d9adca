-- A chord that nobody else deals with now.
-- Parameters: 1 id.
SELECT service, root_id, parent_id, args, kwargs FROM chord WHERE id = ?1
