-- Remembers tasks that were deleted, and who did it.
-- Parameters: 1 a JSON array of {"task_id": …, "id": …, "type": …}, 2 who.
INSERT INTO deleted_task (task_id, id, type, deleted_by)
SELECT gone.task_id, gone.id, gone.type, $2::text
FROM json_to_recordset($1::json) AS gone (task_id text, id text, type text)
ON CONFLICT (task_id) DO UPDATE SET
    id = excluded.id, type = excluded.type, deleted_by = excluded.deleted_by, deleted_at = excluded.deleted_at
