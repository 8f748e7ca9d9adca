-- Adds what the messages of tasks tell to what callers in Python know of them: where how a task stands came before its
-- message.
-- Parameters: 1 task ids.
UPDATE celery_taskmeta AS m SET
    name = left(t.type, 155),
    args = convert_to((t.input -> 'args')::text, 'UTF8'),
    kwargs = convert_to((t.input -> 'kwargs')::text, 'UTF8'),
    queue = left(t.routing_key, 155)
FROM background_task AS t
WHERE m.queue IS NULL AND t.task_id = m.task_id
    AND t.task_id = ANY ($1::text[]) AND t.state NOT IN ('PENDING', 'UNROUTABLE')
