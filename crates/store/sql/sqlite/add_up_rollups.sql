-- Adds up what transactions have counted up to a position, in every span.
-- Parameters: 1 spans, a JSON array, 2 position.
INSERT INTO task_rollup (span, at, service, type, what, size, tasks)
SELECT
    level.value,
    strftime(
        '%Y-%m-%dT%H:%M:%S.000000Z',
        strftime('%s', at) / (level.value * 60) * (level.value * 60), 'unixepoch'
    ) AS begins,
    service, task_rollup_delta.type, what, size, sum(tasks)
FROM task_rollup_delta, json_each(?1) AS level
WHERE position <= ?2
GROUP BY level.value, begins, service, task_rollup_delta.type, what, size
ON CONFLICT DO UPDATE SET tasks = task_rollup.tasks + excluded.tasks
