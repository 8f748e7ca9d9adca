-- Adds what the messages of tasks tell to what callers in Python know of them: where how a task stands came before its
-- message.
-- Parameters: 1 task ids, a JSON array.
UPDATE celery_taskmeta AS m SET
    name = substr(t.type, 1, 155),
    args = CAST(json_extract(t.input, '$.args') AS BLOB),
    kwargs = CAST(json_extract(t.input, '$.kwargs') AS BLOB),
    queue = substr(t.routing_key, 1, 155)
FROM background_task AS t
WHERE m.queue IS NULL AND t.task_id = m.task_id
    AND t.task_id IN (SELECT value FROM json_each(?1)) AND t.state NOT IN ('PENDING', 'UNROUTABLE')
