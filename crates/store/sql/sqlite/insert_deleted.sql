-- Remembers tasks that were deleted, and who did it.
-- Parameters: 1 a JSON array of {"task_id": …, "id": …, "type": …}, 2 who.
INSERT INTO deleted_task (task_id, id, type, deleted_by)
SELECT value ->> 'task_id', value ->> 'id', value ->> 'type', ?2 FROM json_each(?1)
-- Else SQLite takes ON for a condition of a join.
WHERE true
ON CONFLICT (task_id) DO UPDATE SET
    id = excluded.id, type = excluded.type, deleted_by = excluded.deleted_by, deleted_at = excluded.deleted_at
