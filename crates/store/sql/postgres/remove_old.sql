-- Removes the rows of those tasks that are still old enough, and tells which. Rows that somebody writes at
-- this moment are left for the next time.
-- Parameters: 1 task ids, 2 seconds that they are kept.
DELETE FROM background_task
WHERE task_id IN (
    SELECT task_id FROM background_task
    WHERE task_id = ANY ($1::text[]) AND NOT immutable AND last_updated < now() - $2::int8 * interval '1 second'
    FOR UPDATE SKIP LOCKED
)
RETURNING task_id
