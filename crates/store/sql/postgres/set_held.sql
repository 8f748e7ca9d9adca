-- Notes whether tasks are held back. Rows that would stay the same are not touched.
-- Parameters: one array each of 1 task ids, in their order, 2 whether they are held back.
UPDATE background_task AS t SET held = u.held
FROM unnest($1::text[], $2::bool[]) AS u (task_id, held)
WHERE t.task_id = u.task_id AND t.held <> u.held
