-- Services and types of these tasks, and since when they waited for their first attempt; null where its copy is not
-- there.
-- Parameters: 1 task ids, a JSON array.
SELECT
    task_id, service, type,
    CASE WHEN (copy_run, copy_rescue, copy_executions) = (0, 0, 0)
        THEN max(created_date, coalesce(eta, created_date))
    END AS since
FROM background_task
WHERE task_id IN (SELECT value FROM json_each(?1))
