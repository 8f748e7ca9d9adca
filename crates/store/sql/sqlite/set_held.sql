-- Notes whether a task is held back. A row that would stay the same is not touched.
-- Parameters: 1 task id, 2 whether it is held back.
UPDATE background_task SET held = ?2, last_updated = strftime('%Y-%m-%dT%H:%M:%f000Z', 'now')
WHERE task_id = ?1 AND held <> ?2
