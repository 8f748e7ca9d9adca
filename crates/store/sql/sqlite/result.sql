-- The outcome of one run.
-- Parameters: 1 task id, 2 run.
SELECT
    task_id, run, status, coalesce(result, CAST(result_raw AS text)) AS result, error_kind,
    error_message, traceback, date_done, runtime_ms, worker
FROM task_result
WHERE task_id = ?1 AND run = ?2
