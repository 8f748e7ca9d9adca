-- Forgets that tasks will never be sent: people run them again, or the task before them succeeded in another run.
-- Parameters: 1 ids of those, 2 ids of tasks before them; JSON arrays of texts.
DELETE FROM skipped_task WHERE task_id IN (SELECT json_array_elements_text($1::json)) OR after_id IN (SELECT json_array_elements_text($2::json))
