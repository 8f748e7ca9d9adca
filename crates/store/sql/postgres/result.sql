-- The outcome of one run.
-- Parameters: 1 task id, 2 run.
SELECT
    task_id, run, status, coalesce(result::text, convert_from(result_raw, 'UTF8')) AS result, error_kind,
    error_message, traceback, date_done, runtime_ms, worker
FROM task_result
WHERE task_id = $1 AND run = $2
