-- Takes back what callers in Python were told of tasks that were never to be sent and were: what becomes of them is told
-- of them as of all.
-- Parameters: 1 task ids, a JSON array of texts.
DELETE FROM celery_taskmeta AS m
WHERE m.task_id IN (SELECT json_array_elements_text($1::json))
    AND m.status = 'FAILURE' AND m.result = (SELECT told FROM skipped_task AS s WHERE s.task_id = m.task_id)
    AND EXISTS (SELECT 1 FROM background_task AS t WHERE t.task_id = m.task_id AND t.state <> 'FAILURE')
