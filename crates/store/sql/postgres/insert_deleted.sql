-- Remembers those of these tasks that are over and may be changed by people, before they are deleted, and who does it.
-- Parameters: 1 task ids, 2 who.
INSERT INTO deleted_task (task_id, id, type, deleted_by)
SELECT task_id, id, type, $2::text FROM background_task
WHERE task_id = ANY ($1::text[])
    AND state IN ('SUCCESS', 'FAILURE', 'REVOKED', 'REJECTED')
    AND NOT immutable
ON CONFLICT (task_id) DO UPDATE SET
    id = excluded.id, type = excluded.type, deleted_by = excluded.deleted_by, deleted_at = excluded.deleted_at
